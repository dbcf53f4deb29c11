import type { Image } from '../model/image.ts'
import { calendarRules, type CalendarRule, type Duration, type KeepRules } from '../model/keep.ts'

/** What becomes of one image, and why. */
export interface Fate {
  readonly image: Image
  readonly kept: boolean
  /** Finishes the sentence "kept: …" with every rule that holds, or "deleted: …" with why each does not. */
  readonly reason: string
}

/**
 * Decides which good images of one server and schedule to keep: the union of what the rules keep, counted as
 * `restic forget` counts.
 *
 * A calendar rule goes from the newest image to the oldest and keeps the first that it meets of each unit, until it has
 * counted so many units; those without an image do not count. While it has counts left, it keeps the oldest image too.
 * Nothing goes by the present time: where no image comes, none goes.
 *
 * @param images - One pool in any order, each image once: only good ones that count.
 * @param timeZone - IANA name: where units begin and end, and by whose calendar `within` is counted back.
 * @returns A fate for each image, newest first.
 * @see docs/retention.md
 */
export function applyRules(images: readonly Image[], rules: KeepRules, timeZone: string): Fate[] {
  const pool = images.toSorted(newestFirst)
  const { last, within } = rules
  const tallies = calendarRules.filter((rule) => rules[rule] > 0).map((rule) => ({ rule, most: rules[rule], counted: new Set<string>() }))
  if (last === 0 && tallies.length === 0 && !within) return pool.map((image) => ({ image, kept: true, reason: 'no rule says what to keep' }))
  const since = within && pool[0] ? instantBefore(pool[0].createdAt, within, timeZone) : 0

  return pool.map((image, index): Fate => {
    const holds: string[] = []
    const failed: string[] = []
    const asOldest: string[] = []
    if (index < last) holds.push(`good image ${index + 1} of ${last}`)
    else if (last > 0) failed.push(`${last === 1 ? 'a newer good image is' : `${last} newer good images are`} kept`)
    if (tallies.length > 0) {
      const date = dateIn(timeZone, image.createdAt)
      for (const { rule, most, counted } of tallies) {
        const { unit, unitOf } = units[rule]
        const name = unitOf(date)
        const isNewest = !counted.has(name)
        if (counted.size === most) {
          failed.push(isNewest ? `the newest of ${most === 1 ? `a newer ${unit} is` : `${most} newer ${unit}s are`} kept` : `a newer one of ${name} is kept`)
        } else if (isNewest) {
          counted.add(name)
          holds.push(`the newest of ${name} (${rule} ${counted.size} of ${most})`)
        } else if (index === pool.length - 1) asOldest.push(`the oldest (${rule} ${counted.size + 1} of ${most})`)
        else failed.push(`a newer one of ${name} is kept`)
      }
    }
    if (within) {
      if (image.createdAt.getTime() >= since) holds.push(`within ${within.text} of the newest`)
      else failed.push(`it is more than ${within.text} older than the newest`)
    }
    const reasons = [...holds, ...asOldest]
    return reasons.length > 0 ? { image, kept: true, reason: reasons.join('; ') } : { image, kept: false, reason: failed.join('; ') }
  })
}

/** Ties on `createdAt`, which has whole seconds, break by id: a plan never depends on the order of the listing. */
export function newestFirst(a: Image, b: Image): number {
  return b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1)
}

/** The unit that a rule counts, and what the unit of a local date is called. */
const units: Readonly<Record<CalendarRule, { readonly unit: string; readonly unitOf: (date: string) => string }>> = {
  daily: { unit: 'day', unitOf: (date) => date },
  weekly: { unit: 'week', unitOf: (date) => `the week of ${mondayOf(date)}` },
  monthly: { unit: 'month', unitOf: (date) => date.slice(0, 7) },
  yearly: { unit: 'year', unitOf: (date) => date.slice(0, 4) },
}

/** Weeks are those of ISO 8601: the days around New Year are in one week, whatever their years. */
function mondayOf(date: string): string {
  const day = new Date(date)
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7))
  return day.toISOString().slice(0, 10)
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * The instant that lies a duration before another: years, months and days by the calendar and the clocks of the zone, a
 * day that the month does not have being its last one; then hours as they pass.
 */
function instantBefore(instant: Date, { years, months, days, hours }: Duration, timeZone: string): number {
  const passed = hours * hourMs
  if (years + months + days === 0) return instant.getTime() - passed
  const local = new Date(instant.getTime() + offsetAt(timeZone, instant.getTime()))
  const [year, month, day] = [local.getUTCFullYear() - years, local.getUTCMonth() - months, local.getUTCDate()]
  const lastDay = new Date(new Date(0).setUTCFullYear(year, month + 1, 0)).getUTCDate()
  local.setUTCFullYear(year, month, Math.min(day, lastDay) - days)
  // No image is as old, and what Intl writes of years before Christ cannot be read back.
  return local.getTime() < 0 ? -Infinity : instantOfLocal(timeZone, local.getTime()) - passed
}

/**
 * When the clocks of a zone show a time. Of one that they show twice, or skip, it is the earlier instant that could be
 * meant, so that rather more is kept.
 *
 * @param local - Milliseconds, as if the zone were UTC.
 */
function instantOfLocal(timeZone: string, local: number): number {
  const meant = [local - dayMs, local + dayMs].map((near) => local - offsetAt(timeZone, near))
  const shown = meant.filter((instant) => instant + offsetAt(timeZone, instant) === local)
  return Math.min(...(shown.length > 0 ? shown : meant))
}

/** How far the zone's clocks are ahead of UTC, in milliseconds. */
function offsetAt(timeZone: string, instant: number): number {
  const second = Math.floor(instant / 1000) * 1000
  return Date.parse(`${clockOf(timeZone).format(second).replace(' ', 'T')}Z`) - second
}

function dateIn(timeZone: string, instant: Date): string {
  return calendarOf(timeZone).format(instant)
}

// The Swedish locale writes dates and times as ISO 8601 does.
const calendarOf = forEachZone((timeZone) => new Intl.DateTimeFormat('sv-SE', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' }))
const clockOf = forEachZone((timeZone) => new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }))

/** To build a format takes a hundred times as long as to use it. */
function forEachZone(build: (timeZone: string) => Intl.DateTimeFormat): (timeZone: string) => Intl.DateTimeFormat {
  const built = new Map<string, Intl.DateTimeFormat>()
  return (timeZone) => {
    let format = built.get(timeZone)
    if (format === undefined) built.set(timeZone, (format = build(timeZone)))
    return format
  }
}
