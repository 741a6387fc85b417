/**
 * The documents of the null responder, and the check that all of them were read.
 */

export const person = { _id: 1, name: "Ada Lovelace", score: 7 }

/** How a stream of so many of them is read. */
export const reading = (documents: number) => ({ batchSize: 1000, limit: documents })

/** Fails if it is not the sum of the scores of so many of them. */
export const check = (sum: number, documents: number): void => {
  if (sum !== documents * person.score) throw new Error(`read ${sum / person.score} documents, not ${documents}`)
}
