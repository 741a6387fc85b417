/**
 * One server for all integration tests of a run.
 */
import { setup } from "../../src/testing/vitest.js"

export default setup()
