/**
 * One replica set of three for all tests of failover, secondaries and outages.
 */
import { setup } from "../../../src/testing/vitest.js"

export default setup({ members: 3 })
