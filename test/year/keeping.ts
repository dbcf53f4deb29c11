import { shownAt, type Clocks } from './clocks.ts'
import type { Item, Rules } from './estate.ts'

const minuteMs = 60_000
const minutesPerDay = 1440

/** An image that counts. */
export interface Counted {
  readonly madeAt: Date
}

/** What an item keeps of the good images of one server: each rule by itself, by sorting the images into its units. */
export function keptBy<Each extends Counted>(item: Pick<Item, 'retention' | 'keep'>, images: readonly Each[], clocks: Clocks): Set<Each> {
  const rules: Rules = item.keep ?? { last: Number(item.retention) }
  const ascending = images.toSorted((a, b) => a.madeAt.getTime() - b.madeAt.getTime())
  const [oldest, newest] = [ascending[0], ascending.at(-1)]
  const kept = new Set<Each>(rules.last ? ascending.slice(-rules.last) : [])
  if (oldest === undefined || newest === undefined) return kept

  for (const unit of ['daily', 'weekly', 'monthly', 'yearly'] as const) {
    const most = rules[unit] ?? 0
    if (most === 0) continue
    const newestOf = new Map(ascending.map((image) => [unitOf(unit, shownAt(clocks, image.madeAt)), image]))
    const units = [...newestOf.keys()].toSorted((a, b) => b - a)
    for (const number of units.slice(0, most)) kept.add(newestOf.get(number)!)
    if (units.length < most) kept.add(oldest)
  }
  if (rules.within !== undefined) {
    const since = before(newest.madeAt, rules.within, clocks)
    for (const image of ascending) if (image.madeAt >= since) kept.add(image)
  }
  return kept
}

/** A number for each unit of local time. */
function unitOf(unit: 'daily' | 'weekly' | 'monthly' | 'yearly', shown: number): number {
  const date = new Date(shown * minuteMs)
  switch (unit) {
    case 'daily': return Math.floor(shown / minutesPerDay)
    // 5 January 1970 was a Monday.
    case 'weekly': return Math.floor((shown / minutesPerDay - 4) / 7)
    case 'monthly': return date.getUTCFullYear() * 100 + date.getUTCMonth()
    case 'yearly': return date.getUTCFullYear()
  }
}

/** The instant at which clocks showed a time that lies a duration before what they show at another. */
function before(instant: Date, duration: string, clocks: Clocks): Date {
  const [, months = 0, weeks = 0, days = 0] = /^P(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?$/.exec(duration)!.map((part) => Number(part ?? 0))
  const shown = new Date(shownAt(clocks, instant) * minuteMs)
  const [year, month, date] = [shown.getUTCFullYear(), shown.getUTCMonth() - months, shown.getUTCDate()]
  const lastOfMonth = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  const wanted = (Date.UTC(year, month, Math.min(date, lastOfMonth)) / minuteMs) + (shown.getTime() / minuteMs) % minutesPerDay - (weeks * 7 + days) * minutesPerDay
  // No zone is ahead of UTC by more than a day, so that is where to begin.
  let index = Math.max(0, wanted - clocks.from - minutesPerDay)
  while (clocks.shown[index]! < wanted) index += 1
  // A time that clocks skip counts as if they had been changed before it, which is the earlier of its two meanings.
  const minute = clocks.from + index - (clocks.shown[index]! - wanted)
  return new Date(minute * minuteMs + (instant.getTime() % minuteMs))
}
