/**
 * The job of a process that measures: which arms of a group, and how much of them.
 */
import type { GroupName } from "./groups.js"
import { endWithParent } from "./parent.js"
import type { Arm, Size } from "./rounds.js"

/** What a measuring process is asked for. */
export interface Job {
  readonly group: Exclude<GroupName, "coldImport">
  readonly url: string
  readonly size: Size
  /** The names of the arms. */
  readonly arms: ReadonlyArray<string>
}

/** Takes the job of this process, which its argument tells (JSON). The process ends with the one that started it. */
export const receive = (): Job => {
  endWithParent()
  // To look up lines in compiled files would cost wherever an error is made.
  process.setSourceMapsEnabled(false)
  return JSON.parse(process.argv[2] ?? "")
}

/** The arms that a job asks for, of all that its group has. */
export const chosen = ({ arms }: Job, all: ReadonlyArray<Arm>): ReadonlyArray<Arm> =>
  all.filter(({ name }) => arms.includes(name))
