/**
 * The package `@effect/schema`, which is loaded when the first schema of it is seen: a program without one need not wait for it.
 */
import type * as AST from "@effect/schema/AST"
import type * as ParseResult from "@effect/schema/ParseResult"
import type * as Schema from "@effect/schema/Schema"
import * as Predicate from "effect/Predicate"

/** What is used of the package. */
export interface OldPackage {
  readonly AST: typeof AST
  readonly ParseResult: typeof ParseResult
  readonly Schema: typeof Schema
}

let loading: Promise<OldPackage> | undefined

/** Loads the package, once. Whoever has a schema of it has loaded it already, so that this takes a moment. */
export const load = (): Promise<OldPackage> =>
  loading ??= Promise.all([
    import("@effect/schema/AST"),
    import("@effect/schema/ParseResult"),
    import("@effect/schema/Schema")
  ]).then(([AST, ParseResult, Schema]) => ({ AST, ParseResult, Schema }))

/** Whether a value is a schema of the package. */
export const isOld = (value: unknown): value is Schema.Schema.Any =>
  Predicate.hasProperty(value, typeId) && Predicate.isObject(value[typeId])

// The key by which the package itself knows its schemas.
const typeId = Symbol.for("@effect/schema/Schema")
