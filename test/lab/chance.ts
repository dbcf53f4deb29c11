/** Dice that a seed decides: the same seed draws the same numbers. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** @returns 0 ≤ number < `bound`. */
  upTo(bound: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound
  }

  happens(probability: number): boolean {
    return this.upTo(1) < probability
  }

  /** @returns a whole number, both bounds included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.upTo(most - least + 1))
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    const keyed = items.map((item) => ({ item, key: this.upTo(1) }))
    return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item)
  }
}
