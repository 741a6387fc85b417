// The page, as a browser shows it. Skipped where there is no Chromium: Debian has it as the package `chromium`.
import { Config, Effect } from "effect"
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { type Browser, chromium } from "playwright-core"
import * as Http from "./http.js"
import { orderOf } from "./load.js"
import { claim, fact } from "./report.js"
import * as Shop from "./shop.js"

const executable = Config.withDefault(Config.string("CHROMIUM"), "/usr/bin/chromium")

const launch = (executablePath: string) =>
  Effect.acquireRelease(
    Effect.tryPromise(() => chromium.launch({ executablePath, args: ["--no-sandbox"] })),
    (browser) => Effect.promise(() => browser.close())
  )

/** Opens the page, has it follow an order, and takes a picture of it. */
const look = (browser: Browser, url: string, screenshot: string | undefined) =>
  Effect.gen(function*() {
    const problems: Array<string> = []
    const page = yield* Effect.tryPromise(() => browser.newPage({ viewport: { width: 1200, height: 860 } }))
    page.on("pageerror", ({ message }) => problems.push(message))
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text())
    })
    yield* Effect.tryPromise(() => page.goto(url))
    yield* Effect.tryPromise(() => page.waitForSelector("#orders tr"))

    const { customer, ...cart } = yield* Effect.fromNullable(Shop.carts(1)[0])
    const product = Shop.products.find(({ id }) => id === cart.product)
    const answer = yield* Http.order(url, randomUUID(), { customer, ...cart })
    const isPlaced = orderOf(answer)._tag === "Some"
    const row = page.locator("#orders tr.new", { hasText: customer })
    const shown = yield* Effect.either(Effect.tryPromise(() => row.waitFor({ timeout: 10_000 })))
    yield* claim(
      "an order that is placed now is on the page, without loading it again",
      isPlaced && shown._tag === "Right"
    )
    const text = yield* Effect.tryPromise(() => row.first().innerText())
    yield* claim(
      "it shows whose order it is, and of what",
      text.includes(customer) && text.includes(product?.name ?? "?")
    )

    const strange = Shop.products[0]?.name ?? ""
    const stock = yield* Effect.tryPromise(() => page.locator("#stock").innerText())
    const images = yield* Effect.tryPromise(() => page.locator("#stock img").count())
    const title = yield* Effect.tryPromise(() => page.title())
    yield* claim(
      "a product whose name is HTML is shown as text",
      stock.includes(strange) && images === 0 && title === "The shop, live"
    )
    yield* claim(
      `the page reports no errors${problems.map((problem) => `: ${problem}`).join("")}`,
      problems.length === 0
    )
    if (screenshot !== undefined) {
      yield* Effect.tryPromise(() => page.screenshot({ path: screenshot }))
      yield* fact(`screenshot: ${screenshot}`)
    }
  })

export const check = (url: string, screenshot: string | undefined) =>
  Effect.gen(function*() {
    const path = yield* executable
    if (!existsSync(path)) {
      return yield* fact(`skipped: there is no Chromium at ${path}; the variable CHROMIUM names one`)
    }
    const browser = yield* launch(path)
    yield* look(browser, url, screenshot)
  }).pipe(Effect.scoped)
