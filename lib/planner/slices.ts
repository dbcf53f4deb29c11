import { stableHash } from './stable-hash.ts'

/** One of the parts that a cloud's servers are divided into. */
export interface Slice {
  /** From 1. */
  readonly shard: number
  readonly of: number
}

/** Whether a server is in a slice: each server, known or not, is in exactly one of them, and always in the same. */
export function isInSlice(server: string, { shard, of }: Slice): boolean {
  return stableHash(server) % of === shard - 1
}

/**
 * Divides a cloud's servers into slices of about the same size.
 *
 * @param servers - How many servers there is something to do for.
 * @param most - How many of them fit one slice.
 * @param maxDeletes - What the slices share: none must be left without a part of it, unless there is none.
 */
export function sliceServers(servers: number, most: number, maxDeletes: number): Slice[] {
  const wanted = Math.ceil(servers / most)
  const of = maxDeletes === 0 ? wanted : Math.min(wanted, maxDeletes)
  return Array.from({ length: of }, (_, i) => ({ shard: i + 1, of }))
}

/** A slice's part of a number that the whole cloud may use up. The parts of all slices add up to it. */
export function partOf(total: number, { shard, of }: Slice): number {
  return Math.floor(total / of) + (shard <= total % of ? 1 : 0)
}

/** Cuts a list into pieces of at most this size, in its order. */
export function cut<Each>(list: readonly Each[], most: number): Each[][] {
  return Array.from({ length: Math.ceil(list.length / most) }, (_, i) => list.slice(i * most, (i + 1) * most))
}
