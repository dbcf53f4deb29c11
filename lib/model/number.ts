import * as z from 'zod'

const whole = z.preprocess((value) => (typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value), z.number().int())

/** A whole number within bounds, which people may have typed as a string. */
export function between(least: number, most: number) {
  return whole.pipe(z.number().min(least).max(most))
}
