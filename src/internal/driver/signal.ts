/**
 * Makes the AbortSignals that operations of the driver receive, and fires them.
 */

/** The signals of an operation. Each is made when the operation asks for it. */
export interface Signalled {
  /** A signal of the operation's own, which it may keep. */
  readonly signal: AbortSignal
  /** A signal that the next operation reuses: for operations that remove their listeners when they end. */
  readonly lent: AbortSignal
  /** A lent signal that fires only before the first command was sent: for writes, which cannot be cancelled later. */
  readonly unsent: AbortSignal
  /**
   * The write that had {@link unsent} is over: the operation goes on with what can be cancelled at any time. Says whether it
   * is to: not where it was given up meanwhile.
   */
  readonly goesOn: () => boolean
}

/** Has a signal, and fires it. */
export interface Controller {
  readonly signal: AbortSignal
  readonly abort: () => void
}

/** Lends a signal to one operation after the other. */
export interface Lender {
  /** The signal for the next operation: the last one again, if it neither fired nor has listeners. */
  readonly next: () => Controller
}

/** A lender for operations that run one after the other. It holds nothing until the first of them. */
export const lender = (): Lender => new OneByOne()

class OneByOne implements Lender {
  #current: Light | undefined

  next(): Controller {
    if (this.#current === undefined || this.#current.isUsed()) this.#current = light()
    return this.#current
  }
}

/** The signals of one operation, as far as it asks for them. */
export class Controllers implements Signalled {
  readonly #signals: Lender | undefined
  #own: Controller | undefined
  #lent: Controller | undefined
  #isWrite = false
  #isGivenUp = false

  constructor(signals: Lender | undefined) {
    this.#signals = signals
  }

  get signal(): AbortSignal {
    return (this.#own ??= new AbortController()).signal
  }

  get lent(): AbortSignal {
    return this.#signals === undefined ? this.signal : (this.#lent ??= this.#signals.next()).signal
  }

  get unsent(): AbortSignal {
    this.#isWrite = true
    return this.lent
  }

  readonly goesOn = (): boolean => {
    this.#isWrite = false
    return !this.#isGivenUp
  }

  /** The operation is given up. Gives the controllers to fire, depending on whether it has sent a command. */
  due(isSent: boolean): ReadonlyArray<Controller> {
    this.#isGivenUp = true
    return isSent && this.#isWrite ? [] : [this.#own, this.#lent].filter((controller) => controller !== undefined)
  }
}

interface Light extends Controller {
  /** Whether it was fired, or is listened to still. */
  readonly isUsed: () => boolean
}

type Listen = AbortSignal["addEventListener"]
type Listener = Parameters<Listen>[1]
type Unlisten = AbortSignal["removeEventListener"]

/**
 * A controller whose signal keeps its listeners in a list of its own until it is fired, and then gives them to the platform.
 *
 * The driver adds and removes half a dozen for each operation. As listeners of the platform they cost a tenth of all that
 * an operation does.
 */
const light = (): Light => {
  const controller = new AbortController()
  const { signal } = controller
  // A few at a time. A set would make a hash for each.
  let waiting: Array<Listener> = []
  const listen: Listen = signal.addEventListener.bind(signal)
  const unlisten: Unlisten = signal.removeEventListener.bind(signal)
  Object.defineProperties(signal, {
    addEventListener: {
      value: (type: string, listener: Listener, options?: Parameters<Listen>[2]) => {
        if (!isPlain(type, options) || signal.aborted) listen(type, listener, options)
        else if (!waiting.includes(listener)) waiting.push(listener)
      }
    },
    removeEventListener: {
      value: (type: string, listener: Listener, options?: Parameters<Unlisten>[2]) => {
        const place = waiting.lastIndexOf(listener)
        if (place < 0) unlisten(type, listener, options)
        else waiting.splice(place, 1)
      }
    }
  })
  return {
    signal,
    isUsed: () => signal.aborted || waiting.length > 0,
    abort: () => {
      for (const listener of waiting) listen("abort", listener, { once: true })
      waiting = []
      controller.abort()
    }
  }
}

// It is fired once at most, so that `once` makes no difference to it.
const isPlain = (type: string, options: Parameters<Listen>[2]): boolean =>
  type === "abort" &&
  (options === undefined || typeof options === "object" && options.signal === undefined && options.capture !== true)
