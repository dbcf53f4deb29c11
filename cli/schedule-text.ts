import { calendarRules, type KeepRules } from '../lib/model/keep.ts'
import type { Schedule, ServerReference } from '../lib/model/schedule.ts'

/** `weekly on saturday at 01:00 Europe/Stockholm`. */
export function whenText({ cadence, dayOfWeek, dayOfMonth, month, cron, at, timeZone }: Schedule): string {
  const time = `${String(at.hour).padStart(2, '0')}:${String(at.minute).padStart(2, '0')}`
  switch (cadence) {
    case 'daily':
      return `daily at ${time} ${timeZone}`
    case 'weekly':
      return `weekly on ${dayOfWeek} at ${time} ${timeZone}`
    case 'monthly':
      return `monthly on day ${dayOfMonth} at ${time} ${timeZone}`
    case 'yearly':
      return `yearly on ${String(month).padStart(2, '0')}-${String(dayOfMonth).padStart(2, '0')} at ${time} ${timeZone}`
    case 'custom':
      return `by the cron "${cron}" ${timeZone}`
    case 'manual':
      return 'when it is asked for'
  }
}

/** `the last 7`, `the last 2, 3 weekly, all within P14D`. */
export function keepText({ last, within, ...rules }: KeepRules): string {
  const parts = [
    ...(last > 0 ? [`the last ${last}`] : []),
    ...calendarRules.filter((rule) => rules[rule] > 0).map((rule) => `${rules[rule]} ${rule}`),
    ...(within ? [`all within ${within.text}`] : []),
  ]
  return parts.join(', ')
}

/** A server's name or UUID; of a selector what it asks for. */
export function serverText(server: ServerReference): string {
  if ('id' in server) return server.id
  if ('name' in server) return server.name
  const { tags, metadata, name } = server.selector
  return [...tags.map((tag) => `tag ${tag}`), ...Object.entries(metadata).map(([key, value]) => `${key}=${value}`), ...(name === undefined ? [] : [`name ${name}`])].join(' and ')
}
