/**
 * Ends this process when the one that started it is gone.
 */
export const endWithParent = (): void => {
  process.stdin.once("close", () => process.exit(1)).resume()
  // It waits for that only while there is something else to do.
  if ("unref" in process.stdin) process.stdin.unref()
}
