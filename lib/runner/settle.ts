import { hasCode, type Problem } from '../model/errors.ts'
import { makingSeconds, marks, sealTag, volumeSnapshots, type Image } from '../model/image.ts'
import type { Deletion, Run } from '../model/run.ts'
import { retryAt, retrySentence } from '../planner/due.ts'
import { followUp, followUpStuck, type FollowUp } from '../planner/follow-up.ts'
import { countReferences, isImageOf, ownSnapshots, scheduledImage } from '../planner/ownership.ts'
import { deleteLeftover } from './deletion.ts'
import type { Observation } from './observation.ts'
import type { Cloud, Ports, StateChange, Tick } from './ports.ts'
import { sweepOf } from './sweep.ts'

export type Outcome = 'good' | 'failed' | 'waiting'

export interface Settled {
  readonly outcome: Outcome
  /** What the schedule's `state` should say now. */
  readonly change: StateChange
}

/**
 * Finds out what became of one run in flight, and records it: a good image is sealed, a failure is written down with
 * its reason and its leftover removed.
 *
 * Each step can be repeated, so an invocation that dies between two of them is simply followed by the next one.
 */
export async function settle(run: Run, observed: Observation, tick: Tick, ports: Ports): Promise<Settled> {
  const { cloud, images } = observed
  const judge = async (image: Image | undefined) => {
    const statuses = image && volumeSnapshots(image).kind === 'snapshots' ? await observed.statuses() : undefined
    return followUp(run, image, cloud.project, statuses, ports.clock())
  }
  const first = await judge(await imageOf(run, observed))
  if (first.kind === 'adopt') {
    const saving: Run = { ...run, status: 'saving', image: first.image.id }
    ports.log.info('the image whose answer was lost is there', fieldsOf(saving))
    if (ports.dryRun || (await ports.runs.advance(run, saving))) return settle(saving, observed, tick, ports)
    return { outcome: 'waiting', change: {} }
  }
  let decision: Exclude<FollowUp, { kind: 'adopt' }> = first
  if (first.kind === 'wait' && first.stuck) {
    const server = await cloud.compute.getServer(run.server)
    const idle = server === undefined || server.taskState === null
    // Looked at again: the listing is older than the server, and the image may have become good in between.
    const image = await cloud.image.getImage(run.image!)
    const now = await judge(image)
    if (now.kind === 'wait' && now.stuck && image) decision = followUpStuck(run, image, cloud.project, now.stuck, idle)
    else if (now.kind !== 'adopt') decision = now
  }
  if (ports.dryRun) {
    ports.log.info(`dry run: would settle as ${decision.kind}`, fieldsOf(run))
    return { outcome: 'waiting', change: {} }
  }
  switch (decision.kind) {
    case 'wait':
      return recordWait(run, decision, ports)
    case 'failed':
      return recordFailed(run, decision, observed, tick, ports)
    case 'good': {
      const sealed = decision.kept ? decision.image : await seal(decision.image, cloud)
      if (!sealed) return recordWait(run, { kind: 'wait', reason: 'the seal did not last; it is set again' }, ports)
      images.set(sealed.id, sealed)
      await observed.announcePrune()
      return recordGood(run, decision, ports)
    }
  }
}

/** Undefined means that Glance says 404: absence from a listing proves nothing. */
async function imageOf(run: Run, { cloud, images }: Observation): Promise<Image | undefined> {
  if (run.image !== undefined) return images.get(run.image) ?? cloud.image.getImage(run.image)
  // The first one: a later snapshot of a server that was rebuilt from it has inherited the id of its run.
  return [...images.values()].filter((image) => isImageOf(run, image, cloud.project)).toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())[0]
}

/** Seals an `active` image: what is changed earlier is lost when the upload ends (lab finding, §1). */
async function seal(image: Image, cloud: Cloud): Promise<Image | undefined> {
  await cloud.image.addMarks(image, { [marks.seal]: image.id }, [sealTag])
  const sealed = await cloud.image.getImage(image.id)
  return sealed && scheduledImage(sealed, cloud.project) ? sealed : undefined
}

async function recordGood(run: Run, { image, kept, notice }: Extract<FollowUp, { kind: 'good' }>, ports: Ports): Promise<Settled> {
  const { retryAt: _retryAt, problem: _problem, ...rest } = run
  if (!(await ports.runs.advance(run, { ...rest, status: 'good', image: image.id, createdAt: image.createdAt }))) return { outcome: 'waiting', change: {} }
  ports.metrics.record('ImagesGood', 1)
  const seconds = makingSeconds(image)
  if (seconds !== undefined && !kept) ports.metrics.record('ImageDuration', seconds)
  const name = image.name || run.imageName
  ports.log.info(kept ? `good, and kept by a person: ${name}` : `good: ${name}`, { ...fieldsOf(run), image: image.id })
  if (notice) ports.log.warn(notice, { ...fieldsOf(run), image: image.id })
  ports.events.publish({ type: 'Scheduled Image Good', ...subjectOf(run), image: { id: image.id, name } })
  return {
    outcome: 'good',
    change: { lastGood: { time: image.createdAt.toISOString(), period: run.period, image: image.id }, problem: undefined },
  }
}

async function recordFailed(run: Run, decision: Extract<FollowUp, { kind: 'failed' }>, observed: Observation, tick: Tick, ports: Ports): Promise<Settled> {
  const { problem, leftover } = decision
  const { image: _image, ...rest } = run
  const again = retryAt(run.attempt, problem.code, tick.now)
  const deletion = leftover && (await deletionOf(run, leftover, observed, ports))
  if (deletion) await ports.runs.putDeletion(deletion)
  else if (problem.code === 'ANSWER_LOST' || (problem.code === 'IMAGE_GONE' && run.volumes.length > 0)) await ports.runs.putSweep(sweepOf(run, false))
  // Nothing is deleted of a run that another invocation has found good meanwhile.
  if (!(await ports.runs.advance(run, { ...rest, status: 'failed', problem, retryAt: again }))) return { outcome: 'waiting', change: {} }
  ports.metrics.record('ImagesFailed', 1)
  ports.log.warn(`${problem.message} ${retrySentence(run.attempt, again, run.until)}`, { ...fieldsOf(run), code: problem.code, attempt: run.attempt })
  ports.events.publish({ type: 'Scheduled Image Failed', ...subjectOf(run), reason: problem })
  // The run is settled; what cannot be deleted now is for the next tick.
  if (deletion) await deleteLeftover(deletion, observed, ports).catch((error: unknown) => { if (!hasCode(error)) throw error })
  const next = again < run.until ? again : run.until
  return { outcome: 'failed', change: { problem: problem.message, next: next.toISOString() } }
}

async function deletionOf(run: Run, leftover: Image, { images, everyImage }: Observation, ports: Ports): Promise<Deletion> {
  const { cloud, server, schedule, period, runId } = run
  const others = volumeSnapshots(leftover).kind === 'snapshots' ? await everyImage() : []
  const snapshots = ownSnapshots(leftover, countReferences([...images.values(), ...others]))
  return { cloud, server, schedule, image: leftover.id, snapshots, startedAt: ports.clock(), leftoverOf: { period, runId } }
}

async function recordWait(run: Run, { reason, problem }: Extract<FollowUp, { kind: 'wait' }>, ports: Ports): Promise<Settled> {
  ports.log.info(`not settled yet: ${reason}`, fieldsOf(run))
  if (problem) return recordTrouble(run, problem, ports)
  if (!run.problem?.code.startsWith('CLOUD_')) return { outcome: 'waiting', change: {} }
  // The cloud can be entered again.
  const { problem: _problem, ...rest } = run
  await ports.runs.advance(run, rest)
  return { outcome: 'waiting', change: { problem: undefined } }
}

/** Shows a person what keeps a run from being settled; the run stays in flight. */
export async function recordTrouble(run: Run, { code, message }: Problem, ports: Ports): Promise<Settled> {
  if (ports.dryRun) return { outcome: 'waiting', change: {} }
  if (run.problem?.message !== message) await ports.runs.advance(run, { ...run, problem: { code, message } })
  return { outcome: 'waiting', change: { problem: message } }
}

/** A run, as log lines name it. */
export function fieldsOf(run: Run) {
  return {
    cloud: run.cloud, server: run.server, serverName: run.serverName, schedule: run.schedule, period: run.period,
    ...(run.image !== undefined && { image: run.image }),
  }
}

function subjectOf(run: Run) {
  return {
    cloud: run.cloud, server: { id: run.server, name: run.serverName }, schedule: run.schedule, period: run.period, attempt: run.attempt,
  }
}
