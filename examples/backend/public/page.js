// Shows the state of the shop, each time that the server tells it. Texts are put in as texts, never as HTML.
const part = (id) => document.getElementById(id)
const money = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" })
const count = new Intl.NumberFormat("en")

const cell = (text, ...classes) => {
  const td = document.createElement("td")
  td.textContent = text
  td.classList.add(...classes)
  return td
}

const row = (cells, ...classes) => {
  const tr = document.createElement("tr")
  tr.append(...cells)
  tr.classList.add(...classes)
  return tr
}

// The orders that were there before; none of them is new when the page opens.
let known

const show = ({ orders, placed, products }) => {
  part("stock").replaceChildren(...products.map(({ name, price, stock }) =>
    row([
      cell(name),
      cell(money.format(price / 100), "number"),
      stock > 0 ? cell(count.format(stock), "number") : cell("sold out", "number", "gone")
    ])
  ))
  part("orders").replaceChildren(...orders.map(({ amount, at, customer, id, name, quantity }) =>
    row([
      cell(new Date(at).toLocaleTimeString("en-GB"), "time"),
      cell(customer),
      cell(name),
      cell(count.format(quantity), "number"),
      cell(money.format(amount / 100), "number")
    ], ...(known === undefined || known.has(id) ? [] : ["new"]))
  ))
  known = new Set(orders.map(({ id }) => id))
  part("placed").textContent = `of ${count.format(placed)}`
  part("none").hidden = orders.length > 0
}

const tell = (state) => {
  part("state").dataset.state = state
  part("state").textContent = state
}

// The browser connects again by itself, to whichever instance is there.
const events = new EventSource("/live")
events.onopen = () => tell("live")
events.onerror = () => tell("connecting")
events.onmessage = ({ data }) => show(JSON.parse(data))
