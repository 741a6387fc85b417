import * as effect from "@effect/eslint-plugin"
import js from "@eslint/js"
import tseslint from "typescript-eslint"

const barrels = ["effect", "@effect/schema"]
const timers = ["setTimeout", "setInterval", "setImmediate"].map((name) => ({
  name,
  message: "Wait through Clock and Schedule."
}))

export default tseslint.config(
  { ignores: ["**/dist/", "docs/api/", "coverage/", "**/node_modules/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  tseslint.configs.recommended,
  effect.configs.dprint,
  {
    rules: {
      "@effect/dprint": ["error", {
        config: {
          indentWidth: 2,
          lineWidth: 120,
          semiColons: "asi",
          quoteStyle: "alwaysDouble",
          trailingCommas: "never",
          operatorPosition: "maintain",
          "arrowFunction.useParentheses": "force"
        }
      }],
      "no-undef": "off",
      "no-duplicate-imports": ["error", { allowSeparateTypeImports: true }],
      "object-shorthand": "error",
      "require-yield": "off",
      "eqeqeq": "error",
      "@typescript-eslint/array-type": ["error", { default: "generic", readonly: "generic" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/no-namespace": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }]
    }
  },
  {
    files: ["**/*.ts"],
    languageOptions: { parserOptions: { project: "tsconfig.json", tsconfigRootDir: process.cwd() } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-unnecessary-type-assertion": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }]
    }
  },
  {
    // A package of its own.
    files: ["examples/backend/**/*.ts"],
    languageOptions: { parserOptions: { project: "examples/backend/tsconfig.json", tsconfigRootDir: process.cwd() } }
  },
  {
    // Another one.
    files: ["inspect/**/*.ts"],
    languageOptions: { parserOptions: { project: "inspect/tsconfig.json", tsconfigRootDir: process.cwd() } }
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      "@effect/no-import-from-barrel-package": ["error", { packageNames: barrels }],
      "no-console": "error",
      "no-restricted-globals": ["error", ...timers],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "Take the time from Clock." },
        { object: "Math", property: "random", message: "Take randomness from Random." }
      ]
    }
  },
  {
    files: ["test/**/*.ts"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off" }
  },
  {
    files: ["examples/**/*.ts", "inspect/**/*.ts"],
    rules: {
      "no-restricted-imports": ["error", {
        patterns: [{ regex: "(^|/)(src|dist)/", message: "Import the package as its users do." }]
      }]
    }
  }
)
