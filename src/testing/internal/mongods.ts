/**
 * Starts and stops the mongods of one deployment. Replica sets are configured elsewhere.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { randomBytes } from "node:crypto"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Keeper from "./keeper.js"
import type { Tls, Wanted } from "./way.js"
import { WayFailed } from "./way.js"

/** All that is needed to start the members again; plain data, so that another process can have it. */
export interface Plan {
  readonly keeper: Keeper.Address
  readonly binary: string
  readonly members: ReadonlyArray<MemberPlan>
  readonly isReplicaSet: boolean
  readonly tls: Tls | undefined
  /** The password of the members' own user `__system`, with access control. */
  readonly key: string | undefined
  /** Whether the data outlive the deployment, so that a member is ended in order. */
  readonly keepsData: boolean
}

/** One mongod. */
export interface MemberPlan {
  /** Its name with the keeper. */
  readonly name: string
  readonly port: number
  readonly args: ReadonlyArray<string>
}

/** The name of the replica set. */
export const setName = "rs0"

/** Where a member is reached. */
export const hostOf = ({ port }: Pick<MemberPlan, "port">): string => `127.0.0.1:${port}`

/** What a client of the driver is told of the certificates, as options or in a connection string. */
export const tlsOptions = ({ tls }: Pick<Plan, "tls">) =>
  tls === undefined ? {} : { tls: true, tlsCAFile: tls.caFile, tlsCertificateKeyFile: tls.certificateKeyFile }

/** Writes down how the members are started; makes their folders. */
export const plan = (
  keeper: Keeper.Keeper,
  binary: string,
  wanted: Wanted,
  ports: ReadonlyArray<number>
): Effect.Effect<Plan, Cache.CacheFailed> =>
  Cache.attempt("making the servers' folders", () => {
    const { home } = keeper.address
    const tls = Option.getOrUndefined(wanted.tls)
    const key = Option.isSome(wanted.credentials) ? randomBytes(48).toString("hex") : undefined
    const keyFile = Path.join(home, "key")
    if (key !== undefined) FileSystem.writeFileSync(keyFile, key, { mode: 0o600 })
    const root = Option.match(wanted.storagePath, {
      onNone: () => Path.join(home, "data"),
      onSome: (path) => Path.resolve(path)
    })
    const parameters = { enableTestCommands: 1, diagnosticDataCollectionEnabled: false, ...wanted.parameters }
    const members = ports.map((port, index): MemberPlan => {
      const folder = ports.length === 1 ? root : Path.join(root, String(index))
      FileSystem.mkdirSync(folder, { recursive: true })
      return {
        name: `mongod-${index}`,
        port,
        args: [
          ...["--port", String(port), "--bind_ip", "127.0.0.1", "--dbpath", folder],
          ...["--wiredTigerCacheSizeGB", "0.25", ...(process.platform === "win32" ? [] : ["--nounixsocket"])],
          ...(wanted.standalone ? [] : ["--replSet", setName, "--oplogSize", "256"]),
          ...(key === undefined ? [] : ["--keyFile", keyFile]),
          ...(tls === undefined ? [] : tlsArgs(tls)),
          ...Object.entries(parameters).flatMap(([name, value]) => ["--setParameter", `${name}=${value}`])
        ]
      }
    })
    return {
      keeper: keeper.address,
      binary,
      members,
      isReplicaSet: !wanted.standalone,
      tls,
      key,
      keepsData: Option.isSome(wanted.storagePath)
    }
  })

const tlsArgs = ({ caFile, certificateKeyFile }: Tls): ReadonlyArray<string> => [
  ...["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", Path.resolve(certificateKeyFile)],
  ...["--tlsCAFile", Path.resolve(caFile), "--tlsAllowConnectionsWithoutCertificates"]
]

/** Starts a member and waits until it listens. */
export const start = (
  { binary, keeper, keepsData }: Plan,
  { args, name, port }: MemberPlan,
  limit: Wanted["startTimeout"]
): Effect.Effect<void, WayFailed> =>
  Effect.gen(function*() {
    const processes = Keeper.at(keeper)
    const before = yield* Keeper.sizeOf(keeper, name)
    const written = Keeper.written(keeper, name, before)
    yield* processes.start({ name, command: binary, args, patient: keepsData })
    const listens = Effect.map(written, (text) => text.includes(listening))
    const ended = Effect.gen(function*() {
      const { code, problem, signal } = yield* processes.ended(name)
      const text = yield* written
      const isTaken = /already in use/i.test(text)
      return yield* new WayFailed({
        reason: isTaken
          ? `port ${port} is in use`
          : problem ?? `mongod ended with ${signal ?? `exit code ${code}`} as it started`,
        fix: isTaken ? "give another port, or none: then a free one is chosen" : "see its output",
        output: text.trimEnd().split("\n").map(readable).slice(-60)
      })
    })
    yield* Effect.repeat(listens, { until: (yes) => yes, schedule: Schedule.spaced("20 millis") }).pipe(
      Effect.raceFirst(ended),
      Effect.timeoutFail({
        duration: limit,
        onTimeout: () => new WayFailed({ reason: "mongod did not start in time", fix: "give a longer `startTimeout`" })
      })
    )
  }).pipe(Effect.catchTag("KeeperLost", (lost) => new WayFailed({ reason: lost.message, fix: "start it again" })))

const listening = "Waiting for connections"

/** What a line of mongod's log, which is JSON, says to a person. */
const readable = (line: string): string => {
  try {
    const { attr, msg } = JSON.parse(line)
    return attr === undefined ? String(msg) : `${msg} ${JSON.stringify(attr)}`
  } catch {
    return line
  }
}
