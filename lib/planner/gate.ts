import type { Image } from '../model/image.ts'
import type { CalendarRule } from '../model/keep.ts'
import type { Deletion } from '../model/run.ts'
import type { Schedule } from '../model/schedule.ts'
import type { SnapshotStatuses } from './goodness.ts'
import type { RetentionPlan } from './retention.ts'

/** What a plan was made from, as it was seen. */
export interface Evidence {
  /** The id of the project that the token is for. */
  readonly project: string
  /** The listing of marked images, complete. */
  readonly images: readonly Image[]
  /** The valid and enabled schedules of the cloud. */
  readonly schedules: readonly Schedule[]
  /** The keys of all schedules that exist, valid or not. */
  readonly existing: ReadonlySet<string>
  /** A complete listing of Cinder's snapshots; undefined when it is not known. */
  readonly statuses: SnapshotStatuses | undefined
}

/**
 * The last gate before deletes: checks a finished plan of one cloud against the laws of ownership and retention.
 *
 * It looks at the plan's result and at nothing of how it was made, and on purpose shares no code with the planner, the
 * names of the marks included: a fault in one of the two must not be a fault in both.
 *
 * @param others - Further images of the project, marked or not: the volume snapshots that they name are theirs too.
 * @returns a sentence for each law that is broken, with the image; none when the plan may be carried out.
 */
export function brokenLaws(plans: readonly RetentionPlan[], evidence: Evidence, others: readonly Image[] = []): string[] {
  const listed = new Map(evidence.images.map((image) => [image.id, image]))
  const claimants = mappedSnapshots([...evidence.images, ...others.filter(({ id }) => !listed.has(id))])
  const schedules = new Map(evidence.schedules.map((schedule) => [schedule.key, schedule]))
  const adopters = adoptersOf(evidence)
  const doomed = new Set<string>()
  const broken: string[] = []

  for (const { image } of plans.flatMap(({ remove }) => remove)) {
    if (doomed.has(image.id)) broken.push(`Image ${image.id} is to be deleted twice.`)
    doomed.add(image.id)
  }
  const survivors = Map.groupBy(
    [...listed.values()].filter((image) => !doomed.has(image.id) && !image.protected && !image.hidden && isOurs(image, evidence.project) && isRestorable(image, evidence.statuses)),
    (image) => image.properties['instance_uuid']!,
  )
  for (const plan of plans) {
    if (plan.remove.length === 0) continue
    const schedule = schedules.get(plan.schedule)
    if (!schedule) {
      broken.push(`Schedule ${plan.schedule}, whose images are to be deleted, does not exist, or is disabled or invalid.`)
      continue
    }
    const staying = (survivors.get(plan.server) ?? []).filter((image) => isOfPool(image, schedule, adopters))
    const demands = demandsOf(schedule, staying, plan.remove.flatMap(({ image }) => listed.get(image.id) ?? []))
    let previous: Image | undefined
    for (const { image, snapshots } of plan.remove) {
      const seen = listed.get(image.id)
      const fault = (what: string) => broken.push(`Image ${image.id} of server ${plan.server} and schedule ${plan.schedule} ${what}.`)
      if (!seen) {
        fault('was not listed')
        continue
      }
      if (!isOurs(seen, evidence.project)) fault('is not provably ours')
      if (seen.protected) fault('is protected')
      if (seen.hidden) fault('is hidden')
      if (seen.properties['instance_uuid'] !== plan.server) fault('is of another server')
      if (!isOfPool(seen, schedule, adopters)) fault('is of a schedule that this one does not stand for')
      if (!isRestorable(seen, evidence.statuses)) fault('is not known to be good')
      for (const demand of demands) {
        const lack = demand(seen)
        if (lack !== undefined) fault(lack)
      }
      if (previous && byAge(previous, seen) >= 0) fault('is not to be deleted oldest first')
      for (const id of snapshots) {
        const users = claimants.get(id)
        if (!users?.includes(seen.id)) fault(`does not name the volume snapshot ${id} that is to go with it`)
        else if (users.length > 1) fault(`shares the volume snapshot ${id} with another image`)
      }
      previous = seen
    }
  }
  return broken
}

/**
 * What a rule asks of the images that stay before one may go.
 *
 * @returns what is lacking, to finish the sentence "Image … …"; undefined when nothing is.
 */
type Demand = (image: Image) => string | undefined

/**
 * What the keep rules of a schedule leave behind them, however they are counted: of what they keep, something newer stays.
 *
 * @param staying - The good images of one pool that count and stay.
 * @param doomed - Those of the same pool that are to go.
 */
function demandsOf({ keep, timeZone }: Schedule, staying: readonly Image[], doomed: readonly Image[]): Demand[] {
  const { last, within } = keep
  const calendar = calendarUnits.filter(({ rule }) => keep[rule] > 0)
  if (last === 0 && calendar.length === 0 && !within) return [() => 'is of a schedule without a rule that says what to keep']

  const isNewer = (one: Image | undefined, image: Image) => one !== undefined && byAge(one, image) > 0
  const ascending = staying.toSorted(byAge)
  const pool = [...staying, ...doomed].toSorted(byAge)
  const least = Math.max(1, last)
  // With the oldest of the newest so many known, one comparison tells how many are newer than an image.
  const limit = ascending.at(-least)
  const demands: Demand[] = [(image) => (isNewer(limit, image) ? undefined : `has fewer than ${least} newer good images that stay`)]

  const days = new Map(calendar.length > 0 ? pool.map((image) => [image, localDay(image, timeZone)]) : [])
  for (const { rule, unit, numberOf } of calendar) {
    const most = keep[rule]
    const unitOf = (image: Image) => numberOf(days.get(image)!)
    const newestOf = new Map(ascending.map((image) => [unitOf(image), image]))
    const limit = [...newestOf.values()].toSorted(byAge).at(-most)
    demands.push((image) => {
      if (isNewer(limit, image)) return undefined
      if (!isNewer(newestOf.get(unitOf(image)), image)) {
        return `has no newer good image of its ${unit} that stays, and fewer than ${most} newer ${unit}s have one`
      }
      return image === pool[0] ? `is the oldest good image, and fewer than ${most} newer ${unit}s have one that stays` : undefined
    })
  }
  const newest = ascending.at(-1)
  if (within && newest) {
    // Less than any calendar makes of it: short years and months, and clocks that were put forward, by a whole day in the extreme.
    const leastMs = (within.years * 365 + within.months * 28 + within.days) * dayMs + (within.hours - 25) * hourMs
    demands.push((image) => (newest.createdAt.getTime() - image.createdAt.getTime() < leastMs ? `is not ${within.text} older than the newest good image that stays` : undefined))
  }
  return demands
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** A date as the clocks of a zone show it; `number` counts the days since 1970. */
interface LocalDay {
  readonly year: number
  readonly month: number
  readonly number: number
}

/** The calendar rules, what each counts, and a number for each of those. */
const calendarUnits: readonly { readonly rule: CalendarRule; readonly unit: string; readonly numberOf: (day: LocalDay) => number }[] = [
  { rule: 'daily', unit: 'day', numberOf: ({ number }) => number },
  // The first day of 1970 was a Thursday, and weeks begin on Monday.
  { rule: 'weekly', unit: 'week', numberOf: ({ number }) => Math.floor((number + 3) / 7) },
  { rule: 'monthly', unit: 'month', numberOf: ({ year, month }) => year * 12 + month },
  { rule: 'yearly', unit: 'year', numberOf: ({ year }) => year },
]

const formats = new Map<string, Intl.DateTimeFormat>()

function localDay({ createdAt }: Image, timeZone: string): LocalDay {
  let format = formats.get(timeZone)
  if (format === undefined) formats.set(timeZone, (format = new Intl.DateTimeFormat('en-US', { timeZone, year: 'numeric', month: 'numeric', day: 'numeric' })))
  const parts = Object.fromEntries(format.formatToParts(createdAt).map(({ type, value }) => [type, Number(value)]))
  const [year, month] = [parts['year']!, parts['month']!]
  return { year, month, number: Date.UTC(year, month - 1, parts['day']) / dayMs }
}

/**
 * The same for what a failed attempt left behind: ours by the id of its run, and holding nothing that could be restored.
 *
 * @param image - As it is just before the delete.
 * @param statuses - Of the Cinder snapshots that the image names, with `deleted` for those that Cinder does not have.
 * @returns why it must stay, to finish the sentence "kept: …"; undefined when it may go.
 */
export function leftoverObjection(image: Image, { server, leftoverOf }: Deletion, project: string, statuses: SnapshotStatuses): string | undefined {
  const { properties } = image
  const ours =
    image.owner === project && properties['org.openstack__1__created_by'] === 'scheduled_images_service' &&
    properties['instance_uuid'] === server && leftoverOf !== undefined && properties['scheduled_images__run'] === leftoverOf.runId
  if (!ours) return 'it does not carry the marks of the failed attempt'
  if (properties['scheduled_images__image'] === image.id) return 'it is sealed'
  if (image.protected) return 'it is protected'
  if (image.hidden) return 'it is hidden'
  if (!leftoverStatuses.has(image.status)) return `its status is ${image.status}, which somebody gave it`
  const missing = [...mappedSnapshots([image]).keys()].find((id) => statuses.get(id) === undefined)
  if (image.status === 'active' && missing) return `its volume snapshot ${missing} is not listed, which proves nothing`
  return isRestorable(image, statuses) ? 'it can be restored after all' : undefined
}

/** What a failed attempt ends in; any other status is somebody's doing. */
const leftoverStatuses = new Set(['active', 'queued', 'saving'])

function isOurs({ id, owner, properties }: Image, project: string): boolean {
  return (
    owner === project && properties['org.openstack__1__created_by'] === 'scheduled_images_service' &&
    properties['scheduled_images__image'] === id && Boolean(properties['instance_uuid'])
  )
}

/** Which schedules lay claim to the images of former ones, by {@link claimOn}. */
type Adopters = ReadonlyMap<string, readonly { readonly schedule: Schedule }[]>

/** @param server - The server whose images are claimed; undefined for those of every server. */
function claimOn(former: string, server: string | undefined): string {
  return JSON.stringify([former, server])
}

function adoptersOf({ schedules, existing }: Evidence): Adopters {
  const claims = schedules.flatMap((schedule) => {
    const { server, state, adopts } = schedule
    const own = 'id' in server ? server.id : state.lastRun?.server
    if ('name' in server && own === undefined) return []
    return [...new Set(adopts)].filter((key) => !existing.has(key)).map((key) => ({ claim: claimOn(key, 'selector' in server ? undefined : own), schedule }))
  })
  return Map.groupBy(claims, ({ claim }) => claim)
}

/** Of the schedule itself, or of one that no longer exists and that it alone adopts, for that server or for every one. */
function isOfPool({ properties }: Image, schedule: Schedule, adopters: Adopters): boolean {
  const key = properties['scheduled_images__schedule']!
  if (key === schedule.key) return true
  const claims = [properties['instance_uuid'], undefined].flatMap((server) => adopters.get(claimOn(key, server)) ?? [])
  return claims.length === 1 && claims[0]!.schedule === schedule
}

function isRestorable({ status, size, properties }: Image, statuses: SnapshotStatuses | undefined): boolean {
  if (status !== 'active') return false
  const devices = devicesOf(properties['block_device_mapping'])
  if (devices === undefined) return false
  const backed = devices.filter(({ snapshot_id, source_type }) => Boolean(snapshot_id) || source_type === 'snapshot' || source_type === 'volume')
  if (backed.length === 0) return (size ?? 0) > 0
  return backed.every(({ snapshot_id }) => snapshot_id && statuses?.get(snapshot_id) === 'available')
}

interface Device {
  readonly snapshot_id?: string | null
  readonly source_type?: string | null
}

/** Undefined when the text is no list of devices. */
function devicesOf(text: string | undefined): readonly Device[] | undefined {
  if (!text) return []
  try {
    const devices = JSON.parse(text) as unknown
    return Array.isArray(devices) && devices.every((device) => typeof device === 'object' && device !== null) ? (devices as Device[]) : undefined
  } catch {
    return undefined
  }
}

/** Which images name each Cinder snapshot, by whatever hand. */
function mappedSnapshots(images: readonly Image[]): Map<string, string[]> {
  const users = new Map<string, string[]>()
  for (const { id, properties } of images) {
    for (const snapshot of new Set((devicesOf(properties['block_device_mapping']) ?? []).map(({ snapshot_id }) => snapshot_id))) {
      if (!snapshot) continue
      const known = users.get(snapshot)
      if (known) known.push(id)
      else users.set(snapshot, [id])
    }
  }
  return users
}

/** Oldest first; images of one second by their ids. */
function byAge(a: Image, b: Image): number {
  const apart = a.createdAt.getTime() - b.createdAt.getTime()
  if (apart !== 0) return apart
  return a.id === b.id ? 0 : a.id > b.id ? 1 : -1
}
