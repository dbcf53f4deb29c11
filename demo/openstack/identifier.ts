import { randomBytes } from 'node:crypto'

/** Makes the cloud's ids: the same series for the same seed, or unguessable ones without. */
export interface Identifiers {
  /** `0d19778f-60a5-4522-9004-c2979e17c944`: servers, images, volumes, requests. */
  uuid(): string
  /** 32 hexadecimal digits: Keystone's projects, users, credentials, endpoints. */
  hex(): string
  /** A number from 0 up to `bound`, itself not included. */
  below(bound: number): number
}

/** Ids from a seed, for reproducible demos; from the system's random source without. */
export function identifiers(seed?: number): Identifiers {
  const word = seed === undefined ? () => randomBytes(4).readUInt32BE(0) : mulberry32(seed)
  const hex = () => Array.from({ length: 4 }, () => word().toString(16).padStart(8, '0')).join('')
  return {
    hex,
    uuid() {
      const digits = hex()
      const variant = '89ab'.charAt(word() & 3)
      return [
        digits.slice(0, 8),
        digits.slice(8, 12),
        `4${digits.slice(13, 16)}`,
        `${variant}${digits.slice(17, 20)}`,
        digits.slice(20),
      ].join('-')
    },
    below: (bound) => word() % bound,
  }
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}
