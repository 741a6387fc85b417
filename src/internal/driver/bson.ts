/**
 * Documents as BSON.
 */
import * as Driver from "mongodb"

/** A document as BSON. */
export const toBson = (document: Driver.Document): Uint8Array => Driver.BSON.serialize(document)

/** A document from BSON, each value with the type that it has there. Throws on anything else. */
export const fromBson = (bytes: Uint8Array): Driver.Document => Driver.BSON.deserialize(bytes, { promoteValues: false })
