/**
 * The options of workflows in steps, and how they are decoded.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { SessionMisconfigured } from "../../SessionErrors.js"
import { SchemaField } from "../data/schemaField.js"
import * as LeaseOptions from "../lease/options.js"
import * as OnceOptions from "../once/options.js"
import type { MongoClient } from "../session/client.js"
import * as Names from "../values/names.js"
import { decoder, issuesIn, longestText, Name, refusalOf, type Rules, Text } from "../values/options.js"
import { keyOf, leaseOf } from "./record.js"

/**
 * Where workflows are kept, and their version. `for`, `renew` and `poll` are those of the lease that a run has for its workflow:
 * what a dead process has left can be taken up after `for`.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends LeaseOptions.Options<Client> {
  /** The version of the body: a whole number. Raise it when the body changes its steps. */
  readonly version: number
  /** The collection of the workflows. Default `effect_mongo_session.steps`. */
  readonly collection?: string | undefined
  /**
   * The collection of the steps and their results, as `Once` has one. Workflows of one name share their steps in it. Default
   * `effect_mongo_session.once`; with a `collection` of one's own, that name with `.once` behind it.
   */
  readonly onceCollection?: string | undefined
  /**
   * How long the result of a step is kept at least; longer than any workflow takes. Default `Duration.infinity`: for ever.
   */
  readonly timeToLive?: Duration.DurationInput | undefined
}

/** The collection of the workflows, where the program has chosen no other. */
export const defaultCollection = "effect_mongo_session.steps"

/** The options of workflows, decoded. */
export interface Decoded {
  readonly version: number
  /** The collection of the steps' results. */
  readonly results: string
  readonly once: OnceOptions.Decoded
}

const decodeOwn = decoder(
  Schema.Struct({ name: Name, version: Schema.Int, onceCollection: Schema.optional(Names.Collection) }),
  () => []
)

/** Decodes the name and the options of workflows: those of their own, of their leases, and of `Once`. */
export const decode = <Client>(
  name: string,
  { client: _, onceCollection, timeToLive = Duration.infinity, version, ...lease }: Partial<Options<Client>>
): Either.Either<Decoded, SessionMisconfigured> => {
  const own = decodeOwn({ name, version, onceCollection })
  const once = OnceOptions.decode("steps", { timeToLive })
  const refused = refusalOf([own, once, LeaseOptions.decode("steps", lease)].flatMap(issuesIn))
  if (refused !== undefined) return Either.left(refused)
  const { collection = defaultCollection } = lease
  // What has the same names in another collection is another workflow.
  const ofOwn = collection === defaultCollection ? OnceOptions.defaultCollection : `${collection}.once`
  return Either.map(
    Either.all([own, once]),
    ([{ version }, once]) => ({ version, results: onceCollection ?? ofOwn, once })
  )
}

/** Checks the id of a workflow. With the name of its kind it is the name of a lease. */
export const decodeId = (name: string, id: string): Either.Either<unknown, SessionMisconfigured> =>
  decoder(Schema.Struct({ id: Text }), fitting("id", id, leaseOf(name, id)))({ id })

/** Checks the name of a step, and its schemas. With the id of its workflow the name is a key. */
export const decodeStep = (
  id: string,
  step: string,
  schemas: { readonly result?: unknown; readonly failure?: unknown }
): Either.Either<unknown, SessionMisconfigured> =>
  decoder(
    Schema.Struct({ step: Name, result: SchemaField, failure: SchemaField }),
    fitting("step", step, keyOf(id, step))
  )({ ...schemas, step })

const isText = Schema.is(Text)

// What is no text by itself is refused for that.
const fitting = (path: string, own: unknown, joined: string): Rules => () =>
  isText(own) && !isText(joined)
    ? [{ path: [path], message: `is too long: with what stands before it, it has more than ${longestText} characters` }]
    : []
