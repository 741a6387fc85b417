import { describe, expect, it } from "@effect/vitest"
import { isDatabase } from "../../inspect/src/database.js"
import { problemOf, problemOfNamespace } from "../../src/internal/values/names.js"

const databases = [
  "",
  "a.b",
  ".",
  "a b",
  "a/b",
  "a\\b",
  "a\"b",
  "a$b",
  "$",
  "a\0b",
  "x".repeat(64),
  "é".repeat(32),
  "\ud83d"
]
const collections = ["", ".a", ".", "$a", "a$b", "a\0b", "\ud83d"]
const others: ReadonlyArray<unknown> = [null, 1, {}, ["a"]]

describe("names", () => {
  it("of databases and collections are refused, or taken, as a server does", () => {
    for (const name of [...databases, ...others]) expect(problemOf(name), String(name)).toContain("database")
    for (const name of [...collections, ...others]) {
      expect(problemOf("a", name), String(name)).toContain("collection")
      expect(problemOf("a", "b", name), String(name)).toContain("collection")
    }
    for (const name of ["a", "A-b_1", "é".repeat(31), "x".repeat(63), "$external", "😀"]) {
      expect(problemOf(name), name).toBeUndefined()
    }
    for (const name of [undefined, "a", "a.b", "a.", "system.users", "a b/c", "😀"]) {
      expect(problemOf("a", name), name).toBeUndefined()
    }
  })

  it("have at most 255 bytes together", () => {
    const database = "x".repeat(60)
    for (const character of ["x", "é"]) {
      const room = (254 - 60) / Buffer.byteLength(character)
      expect(problemOf(database, character.repeat(room))).toBeUndefined()
      expect(problemOf(database, "a", character.repeat(room))).toBeUndefined()
      expect(problemOf(database, character.repeat(room + 1))).toContain("255 bytes")
      expect(problemOf(database, "a", character.repeat(room + 1))).toContain("255 bytes")
      expect(problemOf(database, undefined, character.repeat(room + 1))).toContain("255 bytes")
    }
    expect(problemOf("a", "x".repeat(253))).toBeUndefined()
    expect(problemOf("a", "x".repeat(254))).toContain("253 bytes")
    expect(problemOfNamespace(`${database}.${"x".repeat(195)}`)).toContain("255 bytes")
  })

  it("of databases are the same for the window, but for one that has users and can have no collection", () => {
    for (const name of [...databases, "a", "A-b_1", "é".repeat(31), "x".repeat(63), "😀"]) {
      expect(isDatabase(name), name).toBe(problemOf(name) === undefined)
    }
    expect(isDatabase("$external")).toBe(false)
  })

  it("of a namespace are those of its two parts", () => {
    for (const namespace of ["a.b", "a.b.c"]) expect(problemOfNamespace(namespace)).toBeUndefined()
    for (const namespace of ["a", "a.", ".a", "a..b", "", "a.$", undefined, 1]) {
      expect(problemOfNamespace(namespace), String(namespace)).toBeDefined()
    }
  })

  it("are in no message", () => {
    expect(problemOf("mongodb://user:secret@example.com")).not.toContain("secret")
    expect(problemOf("a", "$secret")).not.toContain("secret")
  })
})
