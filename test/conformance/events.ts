/**
 * What a client of the driver tells of its commands, connections and servers, and whether that is what a test expects.
 */
import type * as Driver from "mongodb"
import type { ExpectedEvents } from "./format.js"
import { mismatch, type Names } from "./matching.js"
import { copyOf, isDocument, numberOf, show } from "./values.js"
import { ensure, ensureNone, Unsupported } from "./verdict.js"

/** An event, by the format's name for it. */
interface Observed {
  readonly name: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** The events of a client. */
export interface Recorder {
  /** The events that are to be observed, in order. */
  readonly events: ReadonlyArray<Observed>
  /** How many connections are checked out. */
  readonly checkedOut: () => number
  /** How many connections have become ready. */
  readonly ready: () => number
  /** Notes that an operation of the test begins. */
  readonly begins: () => void
  /** How many events there were when the last operation began. */
  readonly before: () => number
  /** Forgets what was observed. */
  readonly clear: () => void
  /** Observes nothing more. */
  readonly stop: () => void
}

/** What to observe. */
export interface Options {
  readonly observeEvents: ReadonlyArray<string>
  readonly ignoredCommands: ReadonlyArray<string>
  readonly observeSensitiveCommands: boolean
}

const kinds = {
  command: {
    commandStarted: "commandStartedEvent",
    commandSucceeded: "commandSucceededEvent",
    commandFailed: "commandFailedEvent"
  },
  cmap: {
    connectionPoolCreated: "poolCreatedEvent",
    connectionPoolReady: "poolReadyEvent",
    connectionPoolCleared: "poolClearedEvent",
    connectionPoolClosed: "poolClosedEvent",
    connectionCreated: "connectionCreatedEvent",
    connectionReady: "connectionReadyEvent",
    connectionClosed: "connectionClosedEvent",
    connectionCheckOutStarted: "connectionCheckOutStartedEvent",
    connectionCheckOutFailed: "connectionCheckOutFailedEvent",
    connectionCheckedOut: "connectionCheckedOutEvent",
    connectionCheckedIn: "connectionCheckedInEvent"
  },
  sdam: {
    serverDescriptionChanged: "serverDescriptionChangedEvent",
    serverHeartbeatStarted: "serverHeartbeatStartedEvent",
    serverHeartbeatSucceeded: "serverHeartbeatSucceededEvent",
    serverHeartbeatFailed: "serverHeartbeatFailedEvent",
    topologyDescriptionChanged: "topologyDescriptionChangedEvent",
    topologyOpening: "topologyOpeningEvent",
    topologyClosed: "topologyClosedEvent"
  }
} as const

const namesOf = (kind: keyof typeof kinds): ReadonlyArray<string> => Object.values(kinds[kind])

const known = new Set([...namesOf("command"), ...namesOf("cmap"), ...namesOf("sdam")])

const sensitive = new Set([
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

/** Observes a client that monitors its commands; to be called before it connects. */
export const record = (client: Driver.MongoClient, options: Options): Recorder => {
  const wanted = new Set(options.observeEvents)
  const unknown = options.observeEvents.find((name) => !known.has(name))
  if (unknown !== undefined) throw new Unsupported(`the event ${unknown} is not observed`)
  const ignored = new Set([...options.ignoredCommands, "configureFailPoint"])
  const events: Array<Observed> = []
  let isOn = true
  let checkedOut = 0
  let ready = 0
  let last = 0

  const isIgnored = (fields: Observed["fields"]): boolean => {
    const command = String(fields["commandName"])
    return ignored.has(command) ||
      (!options.observeSensitiveCommands && (sensitive.has(command) || isRedactedHello(command, fields)))
  }
  const listeners = Object.values(kinds).flatMap((names) => Object.entries<string>(names))
  for (const [event, name] of listeners) {
    client.on(event as "commandStarted", (fields: object) => {
      if (event === "connectionCheckedOut") checkedOut++
      if (event === "connectionCheckedIn") checkedOut--
      if (event === "connectionReady") ready++
      const seen = fields as Observed["fields"]
      if (!isOn || !wanted.has(name) || (event.startsWith("command") && isIgnored(seen))) return
      events.push({ name, fields: { ...seen, command: copyOf(seen["command"]), reply: copyOf(seen["reply"]) } })
    })
  }
  return {
    events,
    checkedOut: () => checkedOut,
    ready: () => ready,
    begins: () => void (last = events.length),
    before: () => last,
    clear: () => void (last = events.length = 0),
    stop: () => void (isOn = false)
  }
}

// With credentials in it, the driver shows neither the greeting nor its answer.
const isRedactedHello = (command: string, { command: sent, reply }: Observed["fields"]): boolean =>
  ["hello", "ismaster", "isMaster"].includes(command) &&
  [sent, reply].some((document) => isDocument(document) && Object.keys(document).length === 0)

// What the last operation leaves to be cleaned up: what was given up is not to run on, and nobody is to get its session.
const closing: ReadonlySet<string> = new Set(["killSessions", "endSessions"])

// After that nothing may follow: what is sent between the operations of a test, or within one of them, is looked at.
const withoutClosing = (recorder: Recorder, kind: ReadonlySet<string>): ReadonlyArray<Observed> => {
  const isOf = ({ name }: Observed) => kind.has(name)
  const earlier = recorder.events.slice(0, recorder.before()).filter(isOf)
  const latest = recorder.events.slice(recorder.before()).filter(isOf)
  const end = latest.findLastIndex(({ fields }) => !closing.has(commandOf(fields))) + 1
  return [...earlier, ...latest.slice(0, end)]
}

/** Throws where the events of a client are not those that are expected. */
export const ensureEvents = (expected: ExpectedEvents, recorder: Recorder, names: Names): void => {
  const kind = new Set(namesOf(expected.eventType))
  const awaited = JSON.stringify(expected.events)
  const isAwaited = [...closing].some((command) => awaited.includes(command))
  const found = isAwaited ? recorder.events.filter(({ name }) => kind.has(name)) : withoutClosing(recorder, kind)
  const seen = () => `; seen were ${found.map(({ fields, name }) => `${name} ${commandOf(fields)}`.trim()).join(", ")}`
  expected.events.forEach((event, index) => {
    const where = `event ${index + 1} of ${expected.client}`
    const actual = found[index]
    ensure(actual !== undefined, () => `${where}: expected ${describe(event)}, found no more${seen()}`)
    ensureNone(eventMismatch(event, actual, names), where)
  })
  ensure(
    expected.ignoreExtraEvents || found.length <= expected.events.length,
    () => `events of ${expected.client}: expected ${expected.events.length}, found ${found.length}${seen()}`
  )
}

/** How many of a client's events are such as the expected one. */
export const countEvents = (expected: unknown, recorder: Recorder, names: Names): number => {
  if (!isDocument(expected)) throw new TypeError("an event is a document")
  return recorder.events.filter((actual) => eventMismatch(expected, actual, names) === undefined).length
}

const commandOf = (fields: Observed["fields"]): string => String(fields["commandName"] ?? "")

const describe = (event: Readonly<Record<string, unknown>>): string => {
  const [name = "", fields] = Object.entries(event)[0] ?? []
  return `${name} ${isDocument(fields) ? commandOf(fields) : ""}`.trim()
}

const eventMismatch = (
  event: Readonly<Record<string, unknown>>,
  { fields, name }: Observed,
  names: Names
): string | undefined => {
  const [wanted = "", assertions] = Object.entries(event)[0] ?? []
  if (wanted !== name) return `expected ${describe(event)}, found ${name} ${commandOf(fields)}`
  for (const [key, expected] of Object.entries(isDocument(assertions) ? assertions : {})) {
    const wrong = fieldMismatch(key, expected, fields, names)
    if (wrong !== undefined) return `${commandOf(fields)} ${key}: ${wrong}`
  }
  return undefined
}

const fieldMismatch = (
  key: string,
  expected: unknown,
  fields: Observed["fields"],
  names: Names
): string | undefined => {
  switch (key) {
    case "command":
    case "reply":
      return mismatch(expected, fields[key], names, "root")
    case "hasServiceId":
      return ((fields["serviceId"] ?? null) !== null) === expected ? undefined : `expected ${show(expected)}`
    case "hasServerConnectionId":
      return ((numberOf(fields["serverConnectionId"]) ?? 0) > 0) === expected ? undefined : `expected ${show(expected)}`
    case "previousDescription":
    case "newDescription":
      return mismatch(expected, { type: Reflect.get(Object(fields[key]), "type") }, names)
    case "commandName":
    case "databaseName":
    case "reason":
    case "awaited":
    case "interruptInUseConnections":
      return mismatch(expected, fields[key], names)
    default:
      throw new Unsupported(`the field ${key} of an event is not looked at`)
  }
}
