/**
 * What will happen to the cloud, and when.
 *
 * Nothing here runs by itself: whoever looks at the cloud first calls {@link Agenda.catchUp}.
 */
export class Agenda {
  readonly #clock: () => Date
  /** Soonest last, so that taking the next one is a pop. */
  readonly #due: { readonly at: number; readonly act: () => void }[] = []
  #now: number

  constructor(clock: () => Date) {
    this.#clock = clock
    this.#now = clock().getTime()
  }

  /** The moment being played: the clock's time, or an earlier one while the past is caught up with. */
  get now(): number {
    return this.#now
  }

  /** Has `act` happen `seconds` from now; equal moments keep the order in which they were planned. */
  in(seconds: number, act: () => void): void {
    const at = this.#now + seconds * 1000
    let index = this.#due.length
    while (index > 0 && (this.#due[index - 1]?.at ?? 0) <= at) index -= 1
    this.#due.splice(index, 0, { at, act })
  }

  /** Plays what is due by the clock, each thing at its own moment. A clock that is put back plays nothing twice. */
  catchUp(): void {
    const until = this.#clock().getTime()
    for (let next = this.#due.at(-1); next !== undefined && next.at <= until; next = this.#due.at(-1)) {
      this.#due.pop()
      this.#now = next.at
      next.act()
    }
    this.#now = until
  }

  /** Plays all that is planned, each thing at its own moment, however far that is. @returns the moment of the last one. */
  finish(): number {
    this.catchUp()
    for (let next = this.#due.pop(); next !== undefined; next = this.#due.pop()) {
      this.#now = next.at
      next.act()
    }
    return this.#now
  }
}
