// The house from the ground up: wings of `src/internal`, and the public modules on the same floor.
const floor = (wings, modules) => `^src/(internal/(${wings})/|(${modules})\\.ts$)`
const floors = [
  floor(
    "time|values",
    "MongoError|(Session|Transaction|ChangeStream|Once|Lease|Steps)Errors|(Session|Transaction)Options|SessionId|CausalToken"
  ),
  floor("driver", "ResumeToken"),
  floor("telemetry", "Telemetry"),
  floor("session", "Session|SessionKeeper"),
  floor(
    "transaction|data|commands",
    "Transaction|Cursor|SessionCommands|Codec|Schemas|OldSchemas|Filter|Path|Projection|Sort|Update"
  ),
  floor("changes", "ChangeEvent|ChangeStream"),
  floor("once|lease", "Once|Lease"),
  floor("steps", "Steps"),
  floor("none", "Collection|Database|MongoClient|Outbox"),
  floor("none", "index")
]
const testing = "^src/testing/"

const upward = floors.slice(1).map((above, index) => ({
  name: `upward-${index}`,
  severity: "error",
  comment: "Imports point downwards only.",
  from: { path: floors.slice(0, index + 1) },
  to: { path: above }
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
      name: "floor-known",
      severity: "error",
      comment: "Every module is on one of the floors.",
      from: { path: "^(src|test|examples|bench|inspect)/" },
      to: { path: "^src/", pathNot: [...floors, testing] }
    },
    {
      name: "mongodb-only-in-driver",
      severity: "error",
      comment: "One wing talks to the driver; everywhere else its types are enough.",
      from: { path: "^src/", pathNot: "^src/internal/driver/" },
      to: { path: "(^|/)node_modules/(mongodb|bson)/", dependencyTypesNot: ["type-only"] }
    },
    {
      name: "old-schemas-on-demand",
      severity: "error",
      comment: "A program without schemas of `@effect/schema` does not wait for that package to be loaded.",
      from: { path: "^src/", pathNot: "^src/OldSchemas\\.ts$" },
      to: {
        path: "(^|/)node_modules/@effect/schema/|^src/OldSchemas\\.ts$",
        dependencyTypesNot: ["type-only", "dynamic-import"]
      }
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
      to: { path: "^src/", pathNot: [testing, floors[0], floors[1], floors[2], "^src/MongoClient\\.ts$"] }
    },
    {
      name: "library-stands-alone",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|examples|bench|inspect|dist)/" }
    },
    {
      name: "dependency-declared",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm", "npm-peer"] }
    },
    {
      name: "inspect-as-users-do",
      severity: "error",
      comment: "It takes the public modules only.",
      from: { path: "^inspect/" },
      to: { path: "^src/(internal|testing)/|^test/" }
    },
    {
      name: "resolvable",
      severity: "error",
      comment:
        "Packages of the benchmark (what needs them is in JavaScript), of the backend and of inspect are there once it has been run.",
      from: { pathNot: "^(bench/.+\\.js$|examples/backend/|inspect/)" },
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
