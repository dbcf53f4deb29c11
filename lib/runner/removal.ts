import pLimit from 'p-limit'
import type { Image } from '../model/image.ts'
import { brokenLaws, type Evidence } from '../planner/gate.ts'
import { scheduledImage } from '../planner/ownership.ts'
import { planRetention, type RetentionPlan } from '../planner/retention.ts'
import { isInSlice, type Slice } from '../planner/slices.ts'
import { deleteImage, type Objection } from './deletion.ts'
import { handOverPrune } from './handover.ts'
import type { Observation } from './observation.ts'
import { reserveMs, type Ports, type Tick } from './ports.ts'

const concurrentPools = 5

/** What removing counts. */
export interface RemovalCounts {
  deleted: number
  kept: number
  /** Deletions that were refused, and Cinder snapshots that are still there. */
  left: number
  /** Put off to the next tick, since `MAX_DELETES` was reached. */
  capped: number
  /** Would have been deleted, in a dry run. */
  planned: number
  /** Clouds whose plan broke a law. */
  refused: number
  /** Parts of a large plan that were handed over to the function `shard`. */
  sharded: number
  faults: number
}

/** An invocation, as far as removing needs it. */
export interface Removing {
  readonly tick: Tick
  readonly ports: Ports
  readonly summary: RemovalCounts
}

/**
 * Deletes the images of one cloud that are beyond retention: plans, has the plan checked against the laws by {@link brokenLaws},
 * and carries it out. A plan that breaks a law is refused whole.
 *
 * @param slice - Carries out only what the plan holds for the servers of one slice. Planned and checked is the whole cloud's.
 * @returns whether all of it was done, or at least tried, or handed over to shards.
 */
export async function removeExcess(name: string, evidence: Evidence, observed: Observation, slice: Slice | undefined, invocation: Removing): Promise<boolean> {
  const { ports, summary } = invocation
  const plan = (others: readonly Image[]) => planRetention(evidence.images, evidence.schedules, evidence.existing, evidence.project, evidence.statuses, others)
  let plans = plan([])
  let others: readonly Image[] = []
  if (plans.some(({ remove }) => remove.some(({ snapshots }) => snapshots.length > 0))) {
    // A copy of an image, by whatever hand and with whatever marks, has the same volume snapshots.
    others = await observed.everyImage()
    plans = plan(others)
  }
  const broken = brokenLaws(plans, evidence, others)
  if (broken.length > 0) {
    summary.refused += 1
    refuse(name, broken, ports)
    return true
  }
  if (slice) plans = plans.filter(({ server }) => isInSlice(server, slice))
  else if (ports.shards) {
    const excess = new Set(plans.filter(({ remove }) => remove.length > 0).map(({ server }) => server))
    if (Math.min(excess.size, ports.maxDeletes) > ports.shards.mostServers) {
      return handOverPrune(name, excess.size, true, ports.shards, invocation)
    }
  }
  const limit = pLimit(concurrentPools)
  const outcomes = await Promise.all(plans.map((each) => limit(() => carryOut(each, observed, invocation))))
  const capped = outcomes.reduce((sum, outcome) => sum + outcome.capped, 0)
  summary.capped += capped
  if (capped > 0) {
    ports.log.warn(`${capped} images beyond retention are left for the next tick: MAX_DELETES allows ${ports.maxDeletes} deletions in one cloud and invocation`, { cloud: name })
    ports.metrics.record('DeletionsCapped', capped)
  }
  // Where nothing may be deleted at all, there is nothing to come back for before the next day.
  return outcomes.every(({ finished }) => finished) && (capped === 0 || ports.maxDeletes === 0)
}

/** Nothing of such a plan can be trusted, and only people can help: it is a fault of this program, or of a cloud that lies. */
function refuse(cloud: string, broken: readonly string[], ports: Ports): void {
  const message = `The plan to delete images of cloud "${cloud}" breaks the laws of ownership or retention, so none is deleted. ${broken[0]}`
  ports.log.error(`refused: ${message}`, { cloud, code: 'PLAN_REFUSED', broken: broken.slice(0, 20), count: broken.length })
  ports.events.publish({ type: 'Scheduled Images Refused', cloud, reason: { code: 'PLAN_REFUSED', message } })
  ports.metrics.record('PlansRefused', 1)
}

/** `finished`: each deletion was tried, but for those that are `capped`. */
interface Outcome {
  readonly finished: boolean
  readonly capped: number
}

async function carryOut(plan: RetentionPlan, { cloud, allowance }: Observation, { tick, ports, summary }: Removing): Promise<Outcome> {
  const fields = { cloud: plan.cloud, server: plan.server, schedule: plan.schedule }
  const objection = (listed: Image): Objection => (image) => {
    if (image.protected) return 'it was protected a moment ago'
    if (image.hidden) return 'it was hidden a moment ago'
    if (!scheduledImage(image, cloud.project)) return 'its marks were changed a moment ago'
    return isAsListed(image, listed) ? undefined : 'it is not as it was listed'
  }
  summary.kept += plan.keep.length
  for (const { image, reason } of plan.keep) ports.log.debug(`kept: ${reason}`, { ...fields, image: image.id, imageName: image.name })
  const deleted: Image[] = []
  try {
    for (const [i, { image, reason, snapshots }] of plan.remove.entries()) {
      if (tick.timeLeftMs() < reserveMs) return { finished: false, capped: 0 }
      if (!allowance.take()) return { finished: true, capped: plan.remove.length - i }
      if (ports.dryRun) {
        summary.planned += 1
        ports.log.info(`dry run: would delete ${image.name}: ${reason}`, { ...fields, image: image.id })
      } else if (await deleteImage({ image, snapshots, ...fields }, objection(image), cloud, ports)) {
        deleted.push(image)
        ports.log.info(`deleted ${image.name}: ${reason}`, { ...fields, image: image.id })
      } else summary.left += 1
    }
  } catch (error) {
    ports.log.error('pruning was not finished', { ...fields, error })
    summary.faults += 1
    return { finished: false, capped: 0 }
  } finally {
    report(plan, deleted, { ports, summary })
  }
  return { finished: true, capped: 0 }
}

/** In what retention goes by. */
function isAsListed(image: Image, listed: Image): boolean {
  const judged = ({ status, size, createdAt, properties }: Image) => JSON.stringify([status, size, createdAt, Object.entries(properties).toSorted()])
  return judged(image) === judged(listed)
}

function report(plan: RetentionPlan, deleted: readonly Image[], { ports, summary }: Pick<Removing, 'ports' | 'summary'>): void {
  if (deleted.length === 0) return
  summary.deleted += deleted.length
  ports.metrics.record('ImagesDeleted', deleted.length)
  ports.events.publish({
    type: 'Scheduled Images Pruned', cloud: plan.cloud, schedule: plan.schedule, server: { id: plan.server },
    images: deleted.map(({ id, name }) => ({ id, name })),
  })
}
