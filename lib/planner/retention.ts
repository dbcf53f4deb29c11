import type { Image } from '../model/image.ts'
import type { KeepRules } from '../model/keep.ts'
import type { Schedule } from '../model/schedule.ts'
import { goodness, type SnapshotStatuses } from './goodness.ts'
import { applyRules, newestFirst, type Fate } from './keep.ts'
import { countReferences, ownSnapshots, scheduledImage, type ScheduledImage, type SnapshotReferences } from './ownership.ts'

export interface Kept {
  readonly image: Image
  /** Finishes the sentence "kept: …". Printed in logs, so the words are public. */
  readonly reason: string
}

export interface Removed {
  readonly image: Image
  /** Finishes the sentence "deleted: …". */
  readonly reason: string
  /** The Cinder snapshots that go with it, after it. */
  readonly snapshots: readonly string[]
}

/** What becomes of the scheduled images of one server and schedule. A partition: none is lost, none appears twice. */
export interface RetentionPlan {
  readonly cloud: string
  readonly server: string
  readonly schedule: string
  readonly rules: KeepRules
  /** Newest first. */
  readonly keep: readonly Kept[]
  /** Oldest first, so that an interrupted prune has deleted the least valuable images. */
  readonly remove: readonly Removed[]
}

/**
 * Plans what to keep and what to delete of one cloud's images.
 *
 * Only images that are provably ours, of a schedule that is valid and enabled, are planned at all. Every other image,
 * a disabled or deleted schedule's among them, is no part of any plan and so is kept.
 *
 * @param images - A complete listing of the images that carry our mark, in any order.
 * @param schedules - The schedules of this cloud that are valid and enabled.
 * @param existing - The keys of all schedules that exist, valid or not: only the images of others can be adopted.
 * @param statuses - A complete listing of Cinder's snapshots; without it no volume-backed image counts as good.
 * @param others - Every image of the project: a volume snapshot that another one names stays.
 */
export function planRetention(
  images: readonly Image[],
  schedules: readonly Schedule[],
  existing: ReadonlySet<string>,
  project: string,
  statuses: SnapshotStatuses | undefined,
  others: readonly Image[] = [],
): RetentionPlan[] {
  const own = new Map(schedules.map((schedule) => [schedule.key, schedule]))
  const adopterOf = findAdopters(schedules, existing)

  const pools = new Map<string, { readonly schedule: Schedule; readonly server: string; readonly images: ScheduledImage[] }>()
  for (const image of images) {
    const scheduled = scheduledImage(image, project)
    const schedule = scheduled && (own.get(scheduled.schedule) ?? adopterOf(scheduled))
    if (!schedule) continue
    const key = `${scheduled.server} ${schedule.key}`
    const pool = pools.get(key) ?? { schedule, server: scheduled.server, images: [] }
    pool.images.push(scheduled)
    pools.set(key, pool)
  }
  const references = countReferences([...images, ...others])
  return [...pools.values()].map(({ schedule, server, images: pool }) => ({
    cloud: schedule.cloud,
    server,
    schedule: schedule.key,
    rules: schedule.keep,
    ...splitPool(pool, schedule, statuses, references),
  }))
}

/**
 * Who adopts the images of which former schedule and server: for the adopter's own server, by a selector for every server,
 * and never where two schedules lay claim to the same image.
 */
function findAdopters(schedules: readonly Schedule[], existing: ReadonlySet<string>): (image: ScheduledImage) => Schedule | undefined {
  const ofServer = new Map<string, Schedule | undefined>()
  const ofEvery = new Map<string, Schedule | undefined>()
  const claim = (claims: Map<string, Schedule | undefined>, what: string, schedule: Schedule) => claims.set(what, claims.has(what) ? undefined : schedule)
  for (const schedule of schedules) {
    const { server: reference, state } = schedule
    const server = 'id' in reference ? reference.id : state.lastRun?.server
    for (const adopted of new Set(schedule.adopts)) {
      if (existing.has(adopted)) continue
      if ('selector' in reference) claim(ofEvery, adopted, schedule)
      else if (server !== undefined) claim(ofServer, `${adopted} ${server}`, schedule)
    }
  }
  return ({ schedule, server }) => {
    const own = `${schedule} ${server}`
    if (ofServer.has(own) && ofEvery.has(schedule)) return undefined
    return ofServer.get(own) ?? ofEvery.get(schedule)
  }
}

/** The retention law for one server and schedule: only good images count, and only those that no rule keeps are deleted. */
function splitPool(
  pool: readonly ScheduledImage[],
  { keep: rules, timeZone }: Schedule,
  statuses: SnapshotStatuses | undefined,
  references: SnapshotReferences,
): Pick<RetentionPlan, 'keep' | 'remove'> {
  const uncounted: Fate[] = []
  const counted: Image[] = []
  for (const { image } of pool) {
    const reason = whyNotCounted(image, statuses)
    if (reason === undefined) counted.push(image)
    else uncounted.push({ image, kept: true, reason })
  }
  const keep: Kept[] = []
  const remove: Removed[] = []
  for (const { image, kept, reason } of [...uncounted, ...applyRules(counted, rules, timeZone)].toSorted((a, b) => newestFirst(a.image, b.image))) {
    if (kept) keep.push({ image, reason })
    else remove.push({ image, reason, snapshots: ownSnapshots(image, references) })
  }
  return { keep, remove: remove.toReversed() }
}

function whyNotCounted(image: Image, statuses: SnapshotStatuses | undefined): string | undefined {
  if (image.protected) return 'it is protected, and not counted'
  if (image.hidden) return 'it is hidden, and not counted'
  const verdict = goodness(image, statuses)
  return verdict.good ? undefined : `it is not good and not counted: ${verdict.reason}`
}
