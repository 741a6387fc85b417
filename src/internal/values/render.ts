/**
 * Renders the errors of this library as JSON.
 */

/** The error with its message, its hint and the given fields. */
export const render = (
  error: { readonly _tag: string; readonly message: string; readonly hint: string },
  fields: { readonly [field: string]: unknown }
): object => ({ _tag: error._tag, message: error.message, hint: error.hint, ...fields })
