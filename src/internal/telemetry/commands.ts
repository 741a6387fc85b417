/**
 * The spans of commands: one below an operation's span for each command that the driver sends for it, repetitions too.
 *
 * See MongoDB's specification "OpenTelemetry", section "Instrumenting Server Commands". The driver tells of commands by
 * events, which say nothing of the operation that a command belongs to. The context that Node.js hands on along promises
 * does.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import { AsyncLocalStorage } from "node:async_hooks"
import { SessionId } from "../../SessionId.js"
import { attributes } from "../../Telemetry.js"
import { fromBson, toBson, toText } from "../driver/bson.js"
import { listen } from "../driver/listen.js"
import { toAddress, type TopologyWatch } from "../driver/topology.js"
import type { RunningFiber } from "../time/fiber.js"
import { integerOf } from "../values/foreign.js"
import * as Log from "./log.js"
import { collectionIn, summaryOf } from "./names.js"
import { child, end, system } from "./spans.js"

/** Which spans commands have, and what is in them. */
export interface Settings {
  /** Whether there are spans of commands at all. */
  readonly commands: boolean
  /** How many characters of a command its span has at most; 0 for none. */
  readonly queryTextLength: number
}

/** An operation whose commands have spans. */
interface Operation {
  readonly fiber: RunningFiber
  readonly span: Tracer.Span
}

/** A command that was sent. */
interface Sent {
  readonly operation: Operation
  readonly span: Tracer.Span
}

/** Makes the spans of the commands of one client. */
export class Commands {
  private readonly operations = new AsyncLocalStorage<Operation>()
  private readonly sent = new Map<number, Sent>()
  private readonly typeOf: TopologyWatch["typeOf"]
  private readonly queryTextLength: number

  constructor(typeOf: TopologyWatch["typeOf"], { queryTextLength }: Settings) {
    this.typeOf = typeOf
    this.queryTextLength = queryTextLength
  }

  /** Runs what sends the commands of an operation of a fiber. */
  below<A>(fiber: RunningFiber, span: Tracer.Span, evaluate: () => PromiseLike<A>): PromiseLike<A> {
    return span.sampled ? this.operations.run({ fiber, span }, evaluate) : evaluate()
  }

  started(event: Driver.CommandStartedEvent): void {
    const operation = this.operations.getStore()
    if (operation === undefined || isHandshake(event)) return
    const { command, commandName, databaseName: database } = event
    const target = { database, collection: collectionIn(command, database, commandName) }
    const { fiber, span: parent } = operation
    const span = child(fiber, commandName, parent, "client")
    if (span === undefined) return
    const note = (key: string, value: unknown) => value === undefined || span.attribute(key, value)
    const { host, port } = toAddress(event.address)
    note(attributes.system, system)
    note(attributes.namespace, database)
    note(attributes.collection, target.collection)
    note(attributes.command, commandName)
    note(attributes.querySummary, summaryOf(commandName, target))
    note(attributes.transport, host.endsWith(".sock") ? "unix" : "tcp")
    note(attributes.serverAddress, host)
    note(attributes.serverPort, port)
    note(attributes.serverType, this.typeOf(event.address))
    note(attributes.serverConnection, event.serverConnectionId === null ? undefined : Number(event.serverConnectionId))
    note(attributes.driverConnection, event.connectionId)
    note(attributes.lsid, lsidOf(command))
    note(attributes.txnNumber, command["txnNumber"] === undefined ? undefined : Number(command["txnNumber"]))
    // From here on it ends, also where something of the command cannot be told.
    this.sent.set(event.requestId, { operation, span })
    this.uses(event.requestId, commandName === "getMore" ? command["getMore"] : Object(command["cursors"])[0])
    if (this.queryTextLength > 0) note(attributes.queryText, this.textOf(command))
  }

  succeeded({ reply, requestId }: Driver.CommandSucceededEvent): void {
    const { cursor } = Object(reply)
    if (cursor !== undefined) this.uses(requestId, cursor.id)
    this.over(requestId, Exit.void)
  }

  failed({ commandName, failure, requestId }: Driver.CommandFailedEvent): void {
    const span = this.sent.get(requestId)?.span
    if (span === undefined) return
    const error = shown(commandName, failure)
    const { code }: { readonly code?: unknown } = Object(failure)
    if (code !== undefined) span.attribute(attributes.statusCode, String(code))
    span.attribute(attributes.errorType, code === undefined ? error.name : String(code))
    span.attribute(attributes.exceptionType, error.name)
    span.attribute(attributes.exceptionMessage, error.message)
    span.attribute(attributes.exceptionStacktrace, error.stack)
    this.over(requestId, Exit.fail(error))
  }

  /** Ends what is still open. */
  close(): void {
    for (const requestId of [...this.sent.keys()]) this.over(requestId, Exit.void)
  }

  // A cursor that is used up has the id 0.
  private uses(requestId: number, id: unknown): void {
    const sent = this.sent.get(requestId)
    const cursor = Option.getOrElse(integerOf(id), () => 0n)
    if (sent === undefined || cursor === 0n) return
    for (const span of [sent.span, sent.operation.span]) span.attribute(attributes.cursor, cursor)
  }

  private over(requestId: number, exit: Exit.Exit<void, Error>): void {
    const sent = this.sent.get(requestId)
    if (sent === undefined) return
    this.sent.delete(requestId)
    end(sent.operation.fiber, sent.span, exit)
  }

  private textOf(command: Driver.Document): string {
    const told = Object.entries(command).filter(([name]) => !untold.has(name))
    // As it is sent: a class may say itself how, by its `toBSON`.
    const text = toText(fromBson(toBson(Object.fromEntries(told))))
    return text.length > this.queryTextLength ? `${text.slice(0, this.queryTextLength)}...` : text
  }
}

/** Makes spans of the commands of a client until the scope closes; none where that is not asked for. */
export const watchCommands = (
  driver: Driver.MongoClient,
  { typeOf }: TopologyWatch,
  settings: Settings
): Effect.Effect<Commands | undefined, never, Scope.Scope> => {
  if (!settings.commands) return Effect.succeed(undefined)
  return Effect.map(
    Effect.acquireRelease(
      Effect.map(Effect.runtime(), (runtime) => {
        const commands = new Commands(typeOf, settings)
        let hasFailed = false
        // What is thrown into the driver breaks its operation.
        const guarded = <E>(listener: (event: E) => void) => (event: E) => {
          try {
            listener(event)
          } catch (error) {
            if (!hasFailed) Runtime.runFork(runtime, Log.untraced(error))
            hasFailed = true
          }
        }
        const unlisten = listen(driver, {
          commandStarted: guarded((event) => commands.started(event)),
          commandSucceeded: guarded((event) => commands.succeeded(event)),
          commandFailed: guarded((event) => commands.failed(event))
        })
        return { commands, unlisten }
      }),
      ({ commands, unlisten }) =>
        Effect.sync(() => {
          unlisten()
          commands.close()
        })
    ),
    ({ commands }) => commands
  )
}

const untold: ReadonlySet<string> = new Set(["lsid", "$db", "$clusterTime", "signature"])

// A connection that is opened for an operation. Of commands with credentials the driver shows nothing.
const isHandshake = ({ command, commandName }: Driver.CommandStartedEvent): boolean =>
  sensitive.has(commandName) || hellos.has(commandName) && (command["client"] !== undefined || isEmpty(command))

const isEmpty = (command: object): boolean => Object.keys(command).length === 0

const hellos: ReadonlySet<string> = new Set(["hello", "ismaster", "isMaster"])

// See the specification "Command Logging and Monitoring", section "Security".
const sensitive: ReadonlySet<string> = new Set([
  "authenticate",
  "saslStart",
  "saslContinue",
  "getnonce",
  "createUser",
  "updateUser",
  "copydbgetnonce",
  "copydbsaslstart",
  "copydb"
])

// A command may bring one of its own, which need not be one.
const lsidOf = ({ lsid }: Driver.Document): string | undefined => {
  const bytes: unknown = lsid?.id?.buffer
  return bytes instanceof Uint8Array && bytes.length === 16 ? SessionId.fromBytes(bytes).uuid : undefined
}

/** A failure as it may be told: a message of the server quotes documents, and one of the network hosts. */
const shown = (command: string, failure: Error): Error => {
  const { code, codeName, name = "Error", stack }: Partial<Record<string, unknown>> = Object(failure)
  const error = new Error(`${command} failed${code === undefined ? "" : ` (${codeName ?? "code"} ${code})`}`)
  error.name = String(name)
  const frames = String(stack).split("\n").filter((line) => line.startsWith("    at "))
  error.stack = [`${error.name}: ${error.message}`, ...frames].join("\n")
  return error
}
