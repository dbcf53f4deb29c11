import pLimit from 'p-limit'
import { hasCode, type Problem } from '../model/errors.ts'
import { createdBy, marks, volumeSnapshots, type Image } from '../model/image.ts'
import type { Deletion, Run } from '../model/run.ts'
import { cadences, type ParsedSchedule } from '../model/schedule.ts'
import type { SnapshotStatuses } from '../planner/goodness.ts'
import { scheduledImage } from '../planner/ownership.ts'
import { planRetention, type RetentionPlan } from '../planner/retention.ts'
import { deleteImage, finishDeletion } from './deletion.ts'
import { reserveMs, type Cloud, type Ports, type StateChange, type Tick } from './ports.ts'
import { fieldsOf, recordTrouble, settle, type Observation } from './settle.ts'
import { writeState } from './state.ts'

const hourMs = 3_600_000
/** A cloud without runs in flight is looked through this often; a little less than a day, since ticks jitter. */
const dailyMs = 24 * hourMs - 5 * 60_000
/** A Cinder snapshot that will not go is tried again at each tick for this long, and then once a day. */
const eagerDeletionMs = hourMs

const concurrentRuns = 10
const concurrentPools = 5

/** What one invocation did, for its summary line. */
export interface PruneSummary {
  /** Clouds that were asked anything. */
  clouds: number
  good: number
  failed: number
  /** Runs whose image is still being made. */
  waiting: number
  deleted: number
  kept: number
  /** Deletions that were refused, and Cinder snapshots that are still there. */
  left: number
  unreachable: number
  /** Would have been deleted, in a dry run. */
  planned: number
  /** What AWS or a bug kept from being done or recorded; the log has each. */
  faults: number
}

/**
 * Settles every run in flight, and deletes scheduled images beyond retention.
 *
 * A cloud is asked only when a run or a deletion of it is in flight, and once a day. Then it costs one token, one
 * listing of the images that carry our mark (a page for each 1000), one of Cinder's snapshots where an image needs it,
 * and what sealing and deleting take. What the tables fail for is a fault, logged and counted; the rest is done.
 */
export async function prune(tick: Tick, ports: Ports): Promise<PruneSummary> {
  const summary: PruneSummary = { clouds: 0, good: 0, failed: 0, waiting: 0, deleted: 0, kept: 0, left: 0, unreachable: 0, planned: 0, faults: 0 }
  const [inFlight, ...queried] = await Promise.all([ports.runs.inFlight(), ...cadences.map((cadence) => ports.schedules.query(cadence))])
  const parsed = queried.flat()
  const names = new Set([...inFlight.runs, ...inFlight.deletions].map(({ cloud }) => cloud))
  for (const item of parsed) if (item.valid && item.schedule.enabled) names.add(item.schedule.cloud)

  await Promise.all(
    [...names].map(async (name) => {
      try {
        await pruneCloud(
          {
            name,
            runs: inFlight.runs.filter(({ cloud }) => cloud === name),
            deletions: inFlight.deletions.filter(({ cloud }) => cloud === name),
            parsed,
          },
          { tick, ports, summary },
        )
      } catch (error) {
        if (hasCode(error)) {
          summary.unreachable += 1
          ports.log.error(error.message, { cloud: name, code: error.code, requestId: error.requestId })
          await tellOfTrouble(inFlight.runs.filter(({ cloud }) => cloud === name), error, parsed, { tick, ports, summary })
        } else {
          summary.faults += 1
          ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
        }
      }
    }),
  )
  return summary
}

interface Invocation {
  readonly tick: Tick
  readonly ports: Ports
  readonly summary: PruneSummary
}

interface Work {
  readonly name: string
  readonly runs: readonly Run[]
  readonly deletions: readonly Deletion[]
  /** All items of all clouds. */
  readonly parsed: readonly ParsedSchedule[]
}

async function pruneCloud(work: Work, invocation: Invocation): Promise<void> {
  const { tick, ports, summary } = invocation
  const { name } = work
  const clock = ports.clock()
  const daily = await isDailyDue(name, invocation)
  const runs = work.runs.filter((run) => run.status === 'saving' || run.leaseUntil <= clock)
  const deletions = work.deletions.filter(({ startedAt }) => daily || clock.getTime() - startedAt.getTime() < eagerDeletionMs)
  if (!daily && runs.length === 0 && deletions.length === 0) return

  summary.clouds += 1
  const cloud = await ports.clouds.open(name, tick.timeLeftMs)
  const listed = daily || runs.length > 0 ? await listMarked(cloud) : []
  let statuses: Promise<SnapshotStatuses | undefined> | undefined
  const observed: Observation = {
    cloud,
    images: new Map(listed.map((image) => [image.id, image])),
    statuses: () => (statuses ??= listSnapshots(name, cloud, ports)),
  }

  const good = await settleAll(runs, observed, work, invocation)
  await finishDeletions(deletions, observed, invocation)
  if (!daily && good === 0) return

  const schedules = work.parsed.flatMap((item) => (item.valid && item.schedule.enabled && item.schedule.cloud === name ? [item.schedule] : []))
  const existing = new Set(work.parsed.map((item) => (item.valid ? item.schedule.key : item.invalid.key)))
  const images = [...observed.images.values()]
  const backed = images.some((image) => volumeSnapshots(image).kind === 'snapshots')
  const known = backed ? await observed.statuses() : undefined
  const done = await carryOut(planRetention(images, schedules, existing, cloud.project, known), cloud, invocation)
  // What was not finished is due again at the next tick.
  const finished = done && (!backed || known !== undefined)
  if (!ports.dryRun) await ports.runs.recordPrune(name, finished ? tick.now : new Date(tick.now.getTime() - dailyMs))
}

/** A cloud that was never pruned has nothing to prune yet: its day begins now. */
async function isDailyDue(cloud: string, { tick, ports }: Invocation): Promise<boolean> {
  const last = await ports.runs.lastPrune(cloud)
  if (last !== undefined) return tick.now.getTime() - last.getTime() >= dailyMs
  if (!ports.dryRun) await ports.runs.recordPrune(cloud, tick.now)
  return false
}

/** Compared again here, exactly: Glance's filter ignores letter case, and one that it does not know finds nothing (lab finding, §5). */
async function listMarked(cloud: Cloud): Promise<Image[]> {
  const images = await cloud.image.listImages({ owner: cloud.project, properties: { [marks.createdBy]: createdBy } })
  return images.filter(({ owner, properties }) => owner === cloud.project && properties[marks.createdBy] === createdBy)
}

/** Without Cinder's listing no volume-backed image is judged, and so none is deleted; the others go on. */
async function listSnapshots(name: string, cloud: Cloud, ports: Ports): Promise<SnapshotStatuses | undefined> {
  try {
    return await cloud.blockStorage.listSnapshots()
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.error(`volume-backed images are left alone: ${error.message}`, { cloud: name, code: error.code, requestId: error.requestId })
    return undefined
  }
}

/** @returns how many runs became good. */
async function settleAll(runs: readonly Run[], observed: Observation, work: Work, invocation: Invocation): Promise<number> {
  const { tick, ports, summary } = invocation
  const items = itemsOf(work.parsed)
  const limit = pLimit(concurrentRuns)
  let good = 0
  await Promise.all(
    runs.map((run) =>
      limit(async () => {
        if (tick.timeLeftMs() < reserveMs) {
          summary.waiting += 1
          return
        }
        const { outcome, change } = await settle(run, observed, tick, ports).catch((error: unknown) => {
          if (!hasCode(error)) throw error
          ports.log.error(`not settled yet: ${error.message}`, { ...fieldsOf(run), code: error.code, requestId: error.requestId })
          return recordTrouble(run, error, ports)
        })
        summary[outcome] += 1
        if (outcome === 'good') good += 1
        if (!(await showOf(run, change, items, ports))) summary.faults += 1
      }).catch((error: unknown) => {
        ports.log.error('a run could not be recorded', { ...fieldsOf(run), error })
        summary.faults += 1
      }),
    ),
  )
  return good
}

type Items = ReadonlyMap<string, Parameters<typeof writeState>[0]>

function itemsOf(parsed: readonly ParsedSchedule[]): Items {
  return new Map(parsed.map((item) => (item.valid ? item.schedule : item.invalid)).map((item) => [item.key, item]))
}

/** Shows in a run's item what became of it; a problem only while no later run is there to have its own. */
async function showOf(run: Run, change: StateChange, items: Items, ports: Ports): Promise<boolean> {
  const item = items.get(run.schedule)
  if (!item) return true
  const { lastRun } = item.state
  const { problem: _problem, next: _next, ...lasting } = change
  return writeState(item, lastRun === undefined || lastRun.period === run.period ? change : lasting, ports)
}

/** A cloud that cannot be entered keeps its runs from being settled; their items say so, and one event for each. */
async function tellOfTrouble(runs: readonly Run[], problem: Problem, parsed: readonly ParsedSchedule[], { ports, summary }: Invocation): Promise<void> {
  const items = itemsOf(parsed)
  const limit = pLimit(concurrentRuns)
  await Promise.all(
    runs.map((run) =>
      limit(async () => {
        const { change } = await recordTrouble(run, problem, ports)
        if (run.problem?.message !== problem.message) {
          const { cloud, server, serverName, schedule, period, attempt } = run
          const reason = { code: problem.code, message: problem.message }
          ports.events.publish({ type: 'Scheduled Image Failed', cloud, schedule, period, attempt, server: { id: server, name: serverName }, reason })
        }
        await showOf(run, change, items, ports)
      }).catch((error: unknown) => {
        ports.log.error('a run could not be recorded', { ...fieldsOf(run), error })
        summary.faults += 1
      }),
    ),
  )
}

async function finishDeletions(deletions: readonly Deletion[], { cloud, statuses }: Observation, { tick, ports, summary }: Invocation): Promise<void> {
  if (deletions.length === 0 || ports.dryRun) return
  const known = deletions.some(({ snapshots }) => snapshots.length > 0) ? await statuses() : new Map<string, string>()
  if (known === undefined) return
  for (const deletion of deletions) {
    if (tick.timeLeftMs() < reserveMs) return
    try {
      summary.left += await finishDeletion(deletion, known, cloud, ports)
    } catch (error) {
      ports.log.error('a deletion was not finished', { cloud: deletion.cloud, server: deletion.server, image: deletion.image, error })
      if (!hasCode(error)) summary.faults += 1
    }
  }
}

/** @returns whether all plans were carried out, or at least tried. */
async function carryOut(plans: readonly RetentionPlan[], cloud: Cloud, { tick, ports, summary }: Invocation): Promise<boolean> {
  let finished = true
  // A person may have protected it, or taken the mark away, since it was listed.
  const isStillDoomed = (image: Image) => !image.protected && scheduledImage(image, cloud.project) !== undefined
  const limit = pLimit(concurrentPools)
  await Promise.all(
    plans.map((plan) =>
      limit(async () => {
        const fields = { cloud: plan.cloud, server: plan.server, schedule: plan.schedule }
        summary.kept += plan.keep.length
        for (const { image, reason } of plan.keep) ports.log.debug(`kept: ${reason}`, { ...fields, image: image.id, imageName: image.name })
        const deleted: Image[] = []
        try {
          for (const { image, reason, snapshots } of plan.remove) {
            if (ports.dryRun) {
              summary.planned += 1
              ports.log.info(`dry run: would delete ${image.name}: ${reason}`, { ...fields, image: image.id })
              continue
            }
            if (tick.timeLeftMs() < reserveMs) {
              finished = false
              return
            }
            if (await deleteImage({ image, snapshots, ...fields }, isStillDoomed, cloud, ports)) {
              deleted.push(image)
              ports.log.info(`deleted ${image.name}: ${reason}`, { ...fields, image: image.id })
            } else summary.left += 1
          }
        } catch (error) {
          ports.log.error('pruning was not finished', { ...fields, error })
          summary.faults += 1
        } finally {
          report(plan, deleted, { ports, summary })
        }
      }),
    ),
  )
  return finished
}

function report(plan: RetentionPlan, deleted: readonly Image[], { ports, summary }: Pick<Invocation, 'ports' | 'summary'>): void {
  if (deleted.length === 0) return
  summary.deleted += deleted.length
  ports.events.publish({
    type: 'Scheduled Images Pruned', cloud: plan.cloud, schedule: plan.schedule, server: { id: plan.server },
    images: deleted.map(({ id, name }) => ({ id, name })),
  })
}
