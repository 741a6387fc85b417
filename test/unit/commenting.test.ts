import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Deployment } from "../../src/internal/driver/topology.js"
import { commenting } from "../../src/internal/telemetry/comment.js"

const told = (deployment: Option.Option<Deployment>) =>
  Effect.withSpan(
    Effect.withFiberRuntime((fiber) => Effect.succeed(commenting({ known: () => deployment })(fiber))),
    "look"
  )

const server = (maxWireVersion: number) =>
  told(Option.some({ kind: "replicaSet", sessionTimeout: Option.none(), maxWireVersion }))

it.effect("MongoDB takes comments from 4.4 on: before it, and while nothing is known of the servers, none is sent", () =>
  Effect.gen(function*() {
    expect(yield* told(Option.none())).toBeUndefined()
    expect(yield* server(8)).toBeUndefined()
    expect(yield* server(9)).toMatchObject({ span: "look" })
  }))
