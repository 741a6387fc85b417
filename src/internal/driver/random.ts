/**
 * Checks for a secure random source, which session ids need.
 */

/**
 * Whether the driver can make session ids from a secure random source. Without one, bson silently uses `Math.random`. The
 * check runs once for each source, for it takes as long as opening a session.
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
