import * as z from 'zod'
import { between } from './number.ts'

/**
 * Which good images of a server a schedule keeps: the union of its rules. A rule that is 0 or absent keeps none.
 * `retention: 7` in an item is `last: 7`.
 */
export interface KeepRules {
  /** The newest ones; 0–65535, as the next four. */
  readonly last: number
  /** The newest of each of so many days that have one. */
  readonly daily: number
  /** Of weeks, which begin on Monday. */
  readonly weekly: number
  readonly monthly: number
  readonly yearly: number
  /** All that are at most so much older than the newest one. */
  readonly within: Duration | undefined
}

/** A length of time in the calendar; each part is a whole number ≥ 0, and at least one is more. */
export interface Duration {
  /** As it was written, in ISO 8601: `P14D`. */
  readonly text: string
  readonly years: number
  readonly months: number
  /** Weeks are counted as 7 days. */
  readonly days: number
  readonly hours: number
}

/** The rules that count calendar units, in the order in which reasons name them. */
export const calendarRules = ['daily', 'weekly', 'monthly', 'yearly'] as const
export type CalendarRule = (typeof calendarRules)[number]

/** What `retention: count` means. */
export function keepLast(count: number): KeepRules {
  return { last: count, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: undefined }
}

/** `P1Y2M3W4DT5H`, any part left out; smaller units and fractions are of no use for images. */
const durationPattern = /^P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(\d{1,6})H)?$/i

/** Reads a duration of years, months, weeks, days and hours. */
export const durationSchema = z.string().trim().transform((text, context): Duration => {
  const [years = 0, months = 0, weeks = 0, days = 0, hours = 0] = (durationPattern.exec(text) ?? []).slice(1).map((part) => Number(part ?? 0))
  if (years + months + weeks + days + hours > 0) return { text: text.toUpperCase(), years, months, days: weeks * 7 + days, hours }
  context.addIssue({ code: 'custom', message: 'no duration' })
  return z.NEVER
})

const count = between(0, 65_535)

/** The rules as people type them: a number may be a string. */
export const keepSchema = z
  .strictObject({
    last: count.default(0),
    daily: count.default(0),
    weekly: count.default(0),
    monthly: count.default(0),
    yearly: count.default(0),
    within: durationSchema.optional(),
  })
  .transform((rules): KeepRules => ({ ...rules, within: rules.within }))
  .refine((rules) => rules.last + calendarRules.reduce((sum, rule) => sum + rules[rule], 0) > 0 || rules.within !== undefined)
