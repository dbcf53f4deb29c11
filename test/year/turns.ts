import { searchFor, type Clocks } from './clocks.ts'
import type { Item } from './estate.ts'

/** A turn as the calendar on the wall has it, in minutes since 1970, without any server's share of the spread. */
export interface Turn {
  readonly period: string
  readonly minute: number
}

const minutesPerDay = 1440
const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

/** Every turn of an item in the span of its clocks, oldest first: by walking through all dates, or through all minutes. */
export function turnsOf(item: Item, clocks: Clocks): Turn[] {
  const fields = item.cadence === 'custom' ? readCron(item.cron!) : undefined
  const fixed = fields && fields[0].size === 1 && fields[1].size === 1
  if (fields && !fixed) return minutesOf(fields, clocks)

  const [hour, minute] = fields ? [[...fields[1]][0]!, [...fields[0]][0]!] : (item.at ?? '01:00').split(':').map(Number)
  const isOwn = fields ? (date: Date) => isDateOf(fields, date) : (date: Date) => isOwed(item, date)
  const wanted = datesOf(clocks).filter(isOwn).map((date) => date.getTime() / 60_000 + hour! * 60 + minute!)
  const found = [...searchFor(clocks, wanted)].filter(([, at]) => at > clocks.from && at < Infinity)
  return found.map(([time, at]) => ({ period: fields ? utcText(at) : new Date(time * 60_000).toISOString().slice(0, 10), minute: at }))
}

/** The local dates of a span, as midnights of UTC. */
function datesOf({ shown }: Clocks): Date[] {
  const [first, last] = [shown[0]!, shown.at(-1)!].map((time) => Math.floor(time / minutesPerDay))
  return Array.from({ length: last! - first! + 1 }, (_, n) => new Date((first! + n) * minutesPerDay * 60_000))
}

function isOwed({ cadence, dayOfWeek, dayOfMonth = 1, month = 1 }: Item, date: Date): boolean {
  if (cadence === 'daily') return true
  if (cadence === 'weekly') return weekdays[date.getUTCDay()] === dayOfWeek!.toLowerCase()
  if (cadence === 'yearly' && date.getUTCMonth() + 1 !== Number(month)) return false
  const isLastOfMonth = new Date(date.getTime() + 86_400_000).getUTCDate() === 1
  return date.getUTCDate() === Number(dayOfMonth) || (isLastOfMonth && date.getUTCDate() < Number(dayOfMonth))
}

/** Minutes, hours, days of the month, months and days of the week of a cron. */
type CronFields = readonly [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>]

function readCron(cron: string): CronFields {
  const bounds = [[0, 59], [0, 23], [1, 31], [1, 12], [0, 6]] as const
  return cron.split(' ').map((field, n) => {
    const values = new Set<number>()
    for (const part of field.split(',')) {
      const [range, step = '1'] = part.split('/')
      const [least, most = range === '*' ? String(bounds[n]![1]) : range] = range === '*' ? [String(bounds[n]![0])] : range!.split('-')
      for (let value = Number(least); value <= Number(most); value += Number(step)) values.add(value)
    }
    return values
  }) as unknown as CronFields
}

/** Of the days of the month and of the week one may be restricted; no cron of the estate restricts both. */
function isDateOf([, , days, months, weekdays]: CronFields, date: Date): boolean {
  return months.has(date.getUTCMonth() + 1) && days.has(date.getUTCDate()) && weekdays.has(date.getUTCDay())
}

/** The minutes that a cron of several times of day names: those that clocks skip never come, and those that they repeat come again. */
function minutesOf(fields: CronFields, { from, shown }: Clocks): Turn[] {
  const [minutes, hours] = fields
  const turns: Turn[] = []
  const dates = new Map<number, boolean>()
  shown.forEach((time, index) => {
    if (!minutes.has(time % 60) || !hours.has(Math.floor(time / 60) % 24)) return
    const day = Math.floor(time / minutesPerDay)
    if (!dates.has(day)) dates.set(day, isDateOf(fields, new Date(day * minutesPerDay * 60_000)))
    if (dates.get(day)) turns.push({ period: utcText(from + index), minute: from + index })
  })
  return turns
}

function utcText(minute: number): string {
  return `${new Date(minute * 60_000).toISOString().slice(0, 16)}Z`
}
