import { timedCadences, type Cadence, type ScheduleItem, type ScheduleKey } from '../model/schedule.ts'
import type { ScheduleItems } from './ports.ts'

/** A server's own schedule, as `enable` makes it: named by the server's UUID, so that there is one of it. */
export interface Enrolment {
  readonly key: ScheduleKey
  readonly item: ScheduleItem
}

/** What a server's schedule is to be from now on. `undefined` removes an attribute, and one that is left out stays as it was. */
export interface Wish {
  readonly cadence: Cadence
  readonly attributes: ScheduleItem
}

/**
 * Every schedule that bears the server's UUID as its name. One, but for an `enable` that was interrupted.
 *
 * @param server - UUID.
 */
export async function enrolments(server: string, schedules: ScheduleItems): Promise<Enrolment[]> {
  const keys = timedCadences.map((cadence): ScheduleKey => ({ cadence, name: server }))
  const items = await Promise.all(keys.map((key) => schedules.get(key)))
  return keys.flatMap((key, at) => (items[at] === undefined ? [] : [{ key, item: items[at] }]))
}

/** The item that a wish comes to; what the present one says of other things goes with it. `state` stays where it was written. */
export function enrolledItem(server: string, cloud: string, { cadence, attributes }: Wish, present: readonly Enrolment[]): ScheduleItem {
  const same = present.find(({ key }) => key.cadence === cadence)
  const others = present.filter((one) => one !== same)
  const adopts = [...new Set([...present.flatMap(adoptedBy), ...others.map(({ key }) => `${key.cadence}/${key.name}`)])].filter((key) => key !== `${cadence}/${server}`)
  if (same) return defined({ ...same.item, ...attributes, ...(others.length > 0 && { adopts }) })
  const [former] = present
  const { state: _state, cadence: _cadence, dayOfWeek: _d, dayOfMonth: _m, month: _y, cron: _c, at, ...kept } = former?.item ?? {}
  return defined({
    server, cloud, ...kept, ...(cadence !== 'custom' && at !== undefined && { at }), ...attributes,
    cadence, schedule: server, ...(others.length > 0 && { adopts }),
  })
}

/**
 * Gives a server the schedule of {@link enrolledItem}. A schedule of another cadence goes once the new one, which adopts its
 * images, is there: an interruption leaves two of them, and asking again ends with one.
 */
export async function enrol(item: ScheduleItem, present: readonly Enrolment[], schedules: ScheduleItems): Promise<void> {
  const key: ScheduleKey = { cadence: item['cadence'] as Cadence, name: String(item['schedule']) }
  const { cadence: _cadence, schedule: _schedule, state: _state, ...attributes } = item
  const before = present.find((one) => one.key.cadence === key.cadence)?.item ?? {}
  const removed = Object.fromEntries(Object.keys(before).filter((name) => !(name in item) && name !== 'state').map((name) => [name, undefined]))
  const edited = await schedules.edit(key, { ...removed, ...attributes })
  if (!edited && !(await schedules.create(item))) await schedules.edit(key, attributes)
  for (const other of present) if (other.key.cadence !== key.cadence) await schedules.remove(other.key)
}

function adoptedBy({ item }: Enrolment): string[] {
  const adopts = item['adopts']
  return adopts instanceof Set || Array.isArray(adopts) ? [...adopts].map(String) : []
}

function defined(item: ScheduleItem): ScheduleItem {
  return Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined))
}
