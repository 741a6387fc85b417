/**
 * Whether there is a secure source for the ids of sessions.
 */

/**
 * Whether the driver can make session ids from a secure random source; bson would silently use `Math.random`. A source that
 * was found is not tried again, only another one in its place: to try it takes as long as to open a session.
 */
export const secureRandom = (): () => boolean => {
  let found: unknown
  return () => {
    try {
      const source: unknown = Reflect.get(globalThis.crypto, "getRandomValues")
      if (source === found && found !== undefined) return true
      if (globalThis.crypto.getRandomValues(new Uint8Array(16)).length !== 16) return false
      found = source
      return true
    } catch {
      return false
    }
  }
}
