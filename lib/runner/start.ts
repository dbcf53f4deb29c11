import { hasCode, type Problem } from '../model/errors.ts'
import type { Run } from '../model/run.ts'
import type { Schedule } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import type { Turn } from '../planner/calendar.ts'
import { busySince, retryAt, retrySentence, type Decision } from '../planner/due.ts'
import { mayLeaveBehind } from '../planner/follow-up.ts'
import { imageMetadata, imageName } from '../planner/naming.ts'
import { isImageOf } from '../planner/ownership.ts'
import { listMarked } from './observation.ts'
import { reserveMs, type Cloud, type Ports, type StateChange, type Tick } from './ports.ts'
import { startAgain, stop, untilMade } from './restart.ts'
import { sweepOf } from './sweep.ts'

/** How long nobody else may conclude anything about a request that has no answer. Longer than any request may take. */
const leaseMs = 10 * 60_000

/** A server is stopped only while there is time to see its image made, and the server running again. */
const stopReserveMs = 4 * 60_000

/** What one invocation did, for its summary line. `schedules`, `invalid` and `disabled` count items, the others runs. */
export interface SnapshotSummary {
  schedules: number
  invalid: number
  disabled: number
  notDue: number
  started: number
  failed: number
  busy: number
  missed: number
  /** Due, but put off to the next tick: no slot of `max_in_flight` was free, or no time was left. */
  waiting: number
  /** Another invocation had claimed the run. */
  claimedElsewhere: number
  /** The runs table had forgotten them; their images were found by their marks. */
  recovered: number
  /** Whose cloud could not be entered, or whose servers were not found. */
  unreachable: number
  /** Would have been started, in a dry run. */
  planned: number
  /** Parts of a large plan that were handed over to the function `shard`. */
  sharded: number
  /** What AWS or a bug kept from being done or recorded; the log has each. */
  faults: number
}

export function nothingYet(): SnapshotSummary {
  return {
    schedules: 0, invalid: 0, disabled: 0, notDue: 0, started: 0, failed: 0, busy: 0, missed: 0,
    waiting: 0, claimedElsewhere: 0, recovered: 0, unreachable: 0, planned: 0, sharded: 0, faults: 0,
  }
}

/** What the parts of one invocation share. */
export interface Invocation {
  readonly tick: Tick
  readonly ports: Ports
  readonly summary: SnapshotSummary
}

/** A schedule on its way through one invocation, with what its `state` should say afterwards. */
export interface Item {
  readonly schedule: Schedule
  readonly since: Date
  /** The server's id: known from the item, or from the last time its name was looked up; one that its selector matches. */
  readonly server: string | undefined
  change: { -readonly [Field in keyof StateChange]: StateChange[Field] }
  /** Of a selector that was looked at: an item for each server that it matches. */
  members?: readonly Member[]
}

export interface Member extends Item {
  readonly serverName: string
}

/** A decision to start. */
export type Due = Extract<Decision, { kind: 'due' }>

/** A due server. With a `refusal` its run is claimed and recorded as failed without asking OpenStack. */
export interface Startable {
  readonly item: Item
  readonly decision: Due
  readonly server: Server
  readonly refusal: Problem | undefined
  /** The runs table may have forgotten that this period has its image. */
  readonly forgotten: boolean
  /** When the server's last good image of this schedule was made, as far as that is known. */
  readonly lastGood: Date | undefined
}

/** Whether a server is not to run while its image is made. */
export function stops({ item, refusal }: Pick<Startable, 'item' | 'refusal'>): boolean {
  return item.schedule.consistency === 'stopped' && !refusal
}

/**
 * Claims one run, and asks for its image.
 *
 * @param cloud - Undefined when it could not be entered; then `refusal` says why.
 */
export async function start(cloud: Cloud | undefined, startable: Startable, invocation: Invocation): Promise<void> {
  const { item, decision, server, refusal } = startable
  const { tick, ports, summary } = invocation
  const { schedule } = item
  const { period } = decision.turn
  const fields = { cloud: schedule.cloud, server: server.id, serverName: server.name, schedule: schedule.key, period }
  const mustStop = stops(startable)
  if (tick.timeLeftMs() < (mustStop ? stopReserveMs : reserveMs)) {
    summary.waiting += 1
    item.change.next = decision.turn.startsAt.toISOString()
    ports.log.info('waiting: too little time is left in this invocation', fields)
    return
  }
  const at = ports.clock()
  const since = busySince(decision.after)
  const claimed: Run = {
    cloud: schedule.cloud, server: server.id, serverName: server.name, schedule: schedule.key, period,
    status: 'starting', runId: ports.newId(), attempt: decision.attempt,
    scheduledFor: decision.turn.startsAt, until: decision.until,
    startedAt: at, leaseUntil: new Date(at.getTime() + leaseMs),
    volumes: [...server.volumes], imageName: imageName(schedule, { server: server.name, period, at }),
    ...(decision.after?.problem && { problem: decision.after.problem }),
    ...(since && { busySince: since }),
  }
  if (ports.dryRun) {
    summary.planned += 1
    ports.log.info(refusal ? `dry run: would not start: ${refusal.message}` : `dry run: would start ${claimed.imageName}${mustStop && server.status === 'ACTIVE' ? ', with the server stopped' : ''}`, fields)
    return
  }
  await recordMissed(item, decision, invocation)
  if (!(await ports.runs.claim(claimed, decision.after))) {
    summary.claimedElsewhere += 1
    ports.log.info('another invocation has claimed this run', fields)
    return
  }
  item.change.next = decision.until.toISOString()
  item.change.lastRun = { time: at.toISOString(), period, server: server.id }
  if (refusal || !cloud) return recordFailure(claimed, refusal!, item, invocation)

  if (mustStop) await askWhileStopped(cloud, claimed, item, invocation)
  else await ask(cloud, claimed, item, invocation)
}

async function askWhileStopped(cloud: Cloud, claimed: Run, item: Item, invocation: Invocation): Promise<void> {
  const { tick, ports } = invocation
  const { restart, problem } = await stop(claimed, cloud, tick, ports)
  let made = true
  try {
    if (problem) await recordFailure(claimed, problem, item, invocation)
    else {
      const image = await ask(cloud, claimed, item, invocation)
      if (restart && image !== undefined) made = await untilMade(image, cloud, tick, ports)
    }
  } finally {
    if (restart && made) await startAgain(restart, !problem, cloud, tick, ports)
  }
}

/** Asks for the image of a claimed run. @returns its id, unless it was refused; that is recorded. */
async function ask(cloud: Cloud, claimed: Run, item: Item, invocation: Invocation): Promise<string | undefined> {
  const { ports, summary } = invocation
  const { schedule } = item
  const { server, serverName, period } = claimed
  let answer: Awaited<ReturnType<Cloud['compute']['createImage']>>
  try {
    answer = await cloud.compute.createImage(server, claimed.imageName, imageMetadata(claimed, claimed.runId, schedule.consistency))
  } catch (error) {
    if (!hasCode(error)) throw error
    const late = error.code === 'ANSWER_LOST' && schedule.consistency === 'stopped' ? await findImage(claimed, cloud) : undefined
    if (late === undefined) {
      if (mayLeaveBehind(claimed, error.code)) await ports.runs.putSweep(sweepOf(claimed, true))
      await recordFailure(claimed, error, item, invocation)
      return undefined
    }
    answer = { image: late, requestId: error.requestId }
  }
  const { image, requestId } = answer
  const fields = { cloud: schedule.cloud, server, serverName, schedule: schedule.key, period }
  summary.started += 1
  ports.metrics.record('ImagesStarted', 1)
  ports.log.info(`started ${claimed.imageName}${claimed.attempt > 1 ? `, attempt ${claimed.attempt} of this period` : ''}`, { ...fields, image, attempt: claimed.attempt, requestId })
  await ports.runs.advance(claimed, { ...claimed, status: 'saving', image, ...(requestId && { requestId }) })
  ports.events.publish({
    type: 'Scheduled Image Started', cloud: schedule.cloud, schedule: schedule.key, period, attempt: claimed.attempt,
    server: { id: server, name: serverName }, image: { id: image, name: claimed.imageName },
  })
  return image
}

/** An image whose answer was lost is looked for at once while its server is stopped, which must not be started before it is made. */
async function findImage(run: Run, cloud: Cloud): Promise<string | undefined> {
  try {
    return (await listMarked(cloud)).find((image) => isImageOf(run, image, cloud.project))?.id
  } catch (error) {
    if (!hasCode(error)) throw error
    return undefined
  }
}

async function recordFailure(claimed: Run, problem: Problem & { requestId?: string | undefined }, item: Item, { tick, ports, summary }: Invocation): Promise<void> {
  const reason: Problem = { code: problem.code, message: problem.message }
  const fields = {
    cloud: claimed.cloud, server: claimed.server, serverName: claimed.serverName, schedule: claimed.schedule, period: claimed.period,
    attempt: claimed.attempt, code: problem.code, requestId: problem.requestId,
  }
  item.change.problem = reason.message
  if (problem.code === 'ANSWER_LOST') {
    // createImage is not idempotent: until the lease ends, the image may still turn up. Settle looks for it.
    summary.failed += 1
    ports.log.warn(reason.message, fields)
    await ports.runs.advance(claimed, { ...claimed, problem: reason })
    return
  }
  const again = retryAt(claimed.attempt, problem.code, tick.now)
  item.change.next = (again < claimed.until ? again : claimed.until).toISOString()
  await ports.runs.advance(claimed, { ...claimed, status: 'failed', problem: reason, retryAt: again })
  if (problem.code === 'SERVER_BUSY') {
    summary.busy += 1
    ports.log.info(reason.message, fields)
    return
  }
  summary.failed += 1
  ports.metrics.record('ImagesFailed', 1)
  ports.log.warn(`${reason.message} ${retrySentence(claimed.attempt, again, claimed.until)}`, fields)
  // What stays as it is is told of once: a server's state once a period, a cloud or a server that stays away once at all.
  const told = reason.code.startsWith('CLOUD_') || reason.code === 'SERVER_NOT_FOUND' ? item.schedule.state.problem : claimed.problem?.message
  if (told === reason.message) return
  ports.events.publish({
    type: 'Scheduled Image Failed', cloud: claimed.cloud, schedule: claimed.schedule, period: claimed.period, attempt: claimed.attempt,
    server: { id: claimed.server, name: claimed.serverName }, reason,
  })
}

/** Tells a person of a period that ended without a good image. */
export async function recordMissed(item: Item, { missed, unattempted }: Decision, invocation: Invocation): Promise<void> {
  const { ports, summary } = invocation
  if (ports.dryRun || (!missed && !unattempted)) return
  const run: Run = missed ? { ...missed, status: 'missed' } : neverAttempted(item, unattempted!, invocation)
  const written = missed ? await ports.runs.advance(missed, run) : await ports.runs.claim(run, undefined)
  if (!written) return
  summary.missed += 1
  ports.metrics.record('RunsMissed', 1)
  const reason = run.problem ?? { code: 'NOT_ATTEMPTED', message: 'No attempt succeeded.' }
  ports.log.error(`missed: period ${run.period} ended without a good image. ${reason.message}`, {
    cloud: run.cloud, server: run.server, serverName: run.serverName, schedule: run.schedule, period: run.period, code: reason.code,
  })
  ports.events.publish({
    type: 'Scheduled Image Missed', cloud: run.cloud, schedule: run.schedule, period: run.period, attempt: run.attempt,
    server: { id: run.server, name: run.serverName }, reason,
  })
}

/** A record of a period that passed without any attempt, so that it is told of once. */
function neverAttempted({ schedule, server }: Item, { period, startsAt }: Turn, { tick, ports }: Invocation): Run {
  const at = ports.clock()
  const message = 'No attempt was made: the timers did not fire, an earlier image was still being made, or no slot of max_in_flight was free.'
  return {
    cloud: schedule.cloud, server: server!, serverName: server!, schedule: schedule.key, period,
    status: 'missed', runId: ports.newId(), attempt: 1, scheduledFor: startsAt, until: tick.now, startedAt: at, leaseUntil: at,
    volumes: [], imageName: '', problem: { code: 'NOT_ATTEMPTED', message },
  }
}
