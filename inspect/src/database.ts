/**
 * Which names databases have.
 */

/** Whether a database that has collections may have this name, by the rules of MongoDB. */
export const isDatabase = (name: string): boolean =>
  name !== "" && Buffer.byteLength(name) < 64 && !/[/\\. "$\0]/.test(name) && name.isWellFormed()
