/**
 * Where MongoDB's own tests are.
 */
import { existsSync, statSync } from "node:fs"
import { resolve } from "node:path"

/** Whether there is a folder of that name. */
export const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory()

/** The folder that the environment names, else the usual one beside the project, if it is there. */
export const specifications = (project: string): string | undefined => {
  const usual = resolve(project, "../shared/spec")
  return process.env["MONGO_SPEC_DIR"] ?? (isFolder(usual) ? usual : undefined)
}
