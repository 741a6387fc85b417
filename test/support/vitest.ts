// Files share the modules of a worker; each begins here with Vitest as its first file found it.
import { addEqualityTesters, it, makeMethods } from "@effect/vitest"

// Effect's values are compared as Effect compares them: some keep a computed hash in a field, which others lack.
addEqualityTesters()

// `layer` puts its own `it.effect` and `it.scoped` in the place of those that provide the test services.
makeMethods(it)
