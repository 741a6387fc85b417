/**
 * Just enough of MongoDB's wire protocol to answer a driver: OP_MSG, and the OP_QUERY of a first hello.
 *
 * Source: MongoDB manual, "MongoDB Wire Protocol"; specification "OP_MSG".
 */
import type { Document } from "mongodb"
import { BSON } from "mongodb"

const opReply = 1
const opQuery = 2004
const opMsg = 2013

const checksumPresent = 1
const moreToCome = 2

/** A message from a driver. */
export interface Message {
  readonly requestId: number
  /** Whether it came as OP_QUERY, and wants an OP_REPLY. */
  readonly isLegacy: boolean
  /** Whether the driver does not want a reply: an unacknowledged write. */
  readonly isUnacknowledged: boolean
  /** The name of the command. */
  readonly name: string
  /** The command as it was sent, with its document sequences folded in. */
  readonly command: () => Document
}

/** Cuts a stream of bytes into messages. */
export class Reader {
  private rest: Buffer = Buffer.alloc(0)

  /** The messages that are complete with these bytes. */
  push(bytes: Buffer): ReadonlyArray<Message> {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes])
    const messages: Array<Message> = []
    while (this.rest.length >= 16) {
      const length = this.rest.readInt32LE(0)
      if (length < 16) throw new RangeError(`a message of ${length} bytes`)
      if (this.rest.length < length) break
      messages.push(decode(this.rest.subarray(0, length)))
      this.rest = this.rest.subarray(length)
    }
    return messages
  }
}

const decode = (bytes: Buffer): Message => {
  const requestId = bytes.readInt32LE(4)
  const opCode = bytes.readInt32LE(12)
  if (opCode === opMsg) return decodeMsg(bytes, requestId)
  if (opCode === opQuery) return decodeQuery(bytes, requestId)
  throw new RangeError(`the operation ${opCode} is not known here`)
}

const decodeQuery = (bytes: Buffer, requestId: number): Message => {
  const collectionEnd = bytes.indexOf(0, 20)
  // numberToSkip and numberToReturn lie between the name and the document
  const at = collectionEnd + 9
  return {
    requestId,
    isLegacy: true,
    isUnacknowledged: false,
    name: firstKey(bytes, at),
    command: () => deserialize(bytes, at)
  }
}

const decodeMsg = (bytes: Buffer, requestId: number): Message => {
  const flags = bytes.readUInt32LE(16)
  const end = bytes.length - ((flags & checksumPresent) === 0 ? 0 : 4)
  const sections = sectionsOf(bytes, end)
  return {
    requestId,
    isLegacy: false,
    isUnacknowledged: (flags & moreToCome) !== 0,
    name: firstKey(bytes, sections.body),
    command: () => ({
      ...deserialize(bytes, sections.body),
      ...Object.fromEntries(sections.sequences.map(({ at, end, name }) => [name, documents(bytes, at, end)]))
    })
  }
}

interface Sections {
  /** Where the body's document starts. */
  readonly body: number
  readonly sequences: ReadonlyArray<{ readonly name: string; readonly at: number; readonly end: number }>
}

const sectionsOf = (bytes: Buffer, end: number): Sections => {
  const sequences: Array<Sections["sequences"][number]> = []
  let body = -1
  let at = 20
  while (at < end) {
    const kind = bytes.readUInt8(at)
    const size = bytes.readInt32LE(at + 1)
    if (kind === 0) body = at + 1
    else {
      const nameEnd = bytes.indexOf(0, at + 5)
      sequences.push({ name: bytes.toString("utf8", at + 5, nameEnd), at: nameEnd + 1, end: at + 1 + size })
    }
    at += 1 + size
  }
  return { body, sequences }
}

const documents = (bytes: Buffer, start: number, end: number): ReadonlyArray<Document> => {
  const found: Array<Document> = []
  for (let at = start; at < end; at += bytes.readInt32LE(at)) found.push(deserialize(bytes, at))
  return found
}

// the first element of a document: its type, then its name
const firstKey = (bytes: Buffer, at: number): string => bytes.toString("utf8", at + 5, bytes.indexOf(0, at + 5))

const deserialize = (bytes: Buffer, at: number): Document =>
  BSON.deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)))

/** A reply that is encoded already. */
export type Encoded = Uint8Array

/** Encodes the document of a reply. */
export const encode = (document: Document): Encoded => BSON.serialize(document, { ignoreUndefined: true })

/** The bytes that answer a message. */
export const reply = (message: Message, document: Encoded): Buffer => {
  const head = message.isLegacy ? 36 : 21
  const bytes = Buffer.allocUnsafe(head + document.length)
  bytes.writeInt32LE(bytes.length, 0)
  bytes.writeInt32LE(message.requestId, 4)
  bytes.writeInt32LE(message.requestId, 8)
  bytes.writeInt32LE(message.isLegacy ? opReply : opMsg, 12)
  if (message.isLegacy) {
    bytes.fill(0, 16, 32)
    bytes.writeInt32LE(1, 32)
  } else bytes.fill(0, 16, 21)
  bytes.set(document, head)
  return bytes
}
