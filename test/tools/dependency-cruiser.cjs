const modules = (...names) => `^src/(${names.join("|")})\\.ts$`

const levels = [
  modules(
    "MongoError",
    "SessionErrors",
    "TransactionErrors",
    "ChangeStreamErrors",
    "SessionOptions",
    "TransactionOptions",
    "SessionId",
    "CausalToken",
    "Codec",
    "internal/issues",
    "internal/reasons",
    "internal/render",
    "internal/failure",
    "internal/sealed",
    "internal/options",
    "internal/fiber",
    "internal/signal",
    "internal/idleness",
    "internal/deployment",
    "internal/outcome",
    "internal/transient",
    "internal/backoff",
    "internal/rules"
  ),
  modules(
    "internal/driver",
    "internal/calling",
    "internal/driverTransaction",
    "internal/lane",
    "internal/pool",
    "internal/bounded",
    "internal/deadline",
    "internal/timeoutContext",
    "internal/cursors",
    "internal/attempt",
    "internal/hooks",
    "internal/sessionGate",
    "internal/performing",
    "internal/byHand",
    "internal/spans",
    "internal/reporting",
    "internal/observing",
    "internal/poolMetrics",
    "internal/transactionWatch",
    "internal/driverMetrics",
    "internal/metrics",
    "Telemetry"
  ),
  modules("SessionKeeper"),
  modules("internal/clientSettings"),
  modules("internal/connection"),
  modules("internal/sessionState"),
  modules("internal/openSession"),
  modules("Session"),
  modules("internal/joining", "internal/ending", "internal/engine"),
  modules("internal/running"),
  modules("internal/operation"),
  modules("internal/cursorLoss"),
  modules("Transaction", "Cursor", "SessionCommands", "internal/replies", "internal/patterns", "internal/listing"),
  modules("internal/onCollection", "internal/decoding", "internal/reads", "internal/writes", "internal/indexes"),
  modules("ResumeToken"),
  modules("ChangeEvent"),
  modules("internal/resume", "internal/changeEvents", "internal/changeCursor", "internal/watching"),
  modules("internal/checkpoints", "internal/consuming", "internal/relaying"),
  modules("ChangeStream"),
  modules("Database", "Collection", "MongoClient", "Outbox"),
  modules("index")
]
const testing = "^src/testing/"

const upward = levels.slice(1).map((level, index) => ({
  name: `upward-${index}`,
  severity: "error",
  comment: "Imports point downwards only.",
  from: { path: levels.slice(0, index + 1) },
  to: { path: level }
}))

module.exports = {
  forbidden: [
    ...upward,
    {
      name: "no-cycle",
      severity: "error",
      from: {},
      to: { circular: true }
    },
    {
      name: "level-known",
      severity: "error",
      comment: "Every module has its place in the list of levels.",
      from: { path: "^(src|test|examples|bench)/" },
      to: { path: "^src/", pathNot: [...levels, testing] }
    },
    {
      name: "mongodb-only-in-driver",
      severity: "error",
      comment: "One module talks to the driver; everywhere else its types are enough.",
      from: { path: "^src/", pathNot: "^src/internal/driver\\.ts$" },
      to: { path: "(^|/)node_modules/(mongodb|bson)/", dependencyTypesNot: ["type-only"] }
    },
    {
      name: "testing-not-in-library",
      severity: "error",
      from: { path: "^src/", pathNot: testing },
      to: { path: testing }
    },
    {
      name: "testing-stands-apart",
      severity: "error",
      comment: "The test server is used to test sessions and transactions, so it takes of the library a client only.",
      from: { path: testing },
      to: { path: "^src/", pathNot: [testing, levels[0], levels[1], modules("MongoClient")] }
    },
    {
      name: "library-stands-alone",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|examples|bench|dist)/" }
    },
    {
      name: "dependency-declared",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm", "npm-peer"] }
    },
    {
      name: "resolvable",
      severity: "error",
      comment: "The benchmark's own packages are there only once it has been run; what needs them is in JavaScript.",
      from: { pathNot: "^bench/.+\\.js$" },
      to: { couldNotResolve: true }
    }
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"]
    }
  }
}
