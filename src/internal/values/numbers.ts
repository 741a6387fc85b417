/**
 * Numbers of the server.
 */

/** A number of any of the types that the client's options may give it; 0 where there is none. */
export const numberOf = (value: unknown): number => value === undefined ? 0 : Number(value)
