/**
 * The arms of each group that is measured in a process of the library.
 */
import * as Effect from "effect/Effect"
import type { GroupName } from "../groups.js"
import { chosen, type Job } from "../job.js"
import type { Arm } from "../rounds.js"
import { type Arms, withArms } from "../scene.js"
import { bank } from "./bank.js"
import { findOne, traced } from "./findOne.js"
import { insertOne } from "./insertOne.js"
import * as KeepAlive from "./keepAlive.js"
import { openClose } from "./openClose.js"
import { stream } from "./stream.js"
import { transaction } from "./transaction.js"

export const arms: Readonly<Record<Exclude<GroupName, "coldImport">, Arms>> = {
  findOne,
  "findOne traced": traced,
  insertOne,
  stream,
  "transaction": transaction(1),
  "transaction x16": transaction(16),
  "transaction mongod": transaction(1),
  "transaction x16 mongod": transaction(16),
  bank,
  openClose,
  "keepAlive": KeepAlive.keepAlive
}

/** The client's options in a group, where they are not the usual ones. */
export const options: Partial<Record<GroupName, typeof KeepAlive.options>> = { keepAlive: KeepAlive.options }

/** Makes the arms that a job asks for, and hands them over. */
export const withChosen = <A>(job: Job, use: (arms: ReadonlyArray<Arm>) => Promise<A>): Promise<A> =>
  Effect.runPromise(
    withArms(job.url, options[job.group] ?? {}, arms[job.group], (made) => use(chosen(job, made)))
  )
