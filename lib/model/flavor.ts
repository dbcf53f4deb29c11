/** A size of server that a cloud offers. */
export interface Flavor {
  readonly id: string
  readonly name: string
  readonly vcpus: number
  readonly ramMiB: number
  /** 0: for servers that boot from a volume. */
  readonly diskGiB: number
  /** A second disk, which no image holds. */
  readonly ephemeralGiB: number
}
