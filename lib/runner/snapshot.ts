import pLimit from 'p-limit'
import { hasCode, type Problem } from '../model/errors.ts'
import { runKeyText, type Run, type RunKey } from '../model/run.ts'
import { invalidSentence, type Cadence, type InvalidSchedule, type Schedule } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { decideDue, retryAt, turnsAt, type Decision } from '../planner/due.ts'
import { imageMetadata, imageName } from '../planner/naming.ts'
import { indexServers, refusalOf, selectServer } from '../planner/selection.ts'
import { reserveMs, type Cloud, type Ports, type StateChange, type Tick } from './ports.ts'
import { countsSince, writeState } from './state.ts'

/** How many images one invocation asks one cloud for at the same time. Nova answers each in seconds. */
const concurrentStarts = 10

/** How long nobody else may conclude anything about a request that has no answer. Longer than any request may take. */
const leaseMs = 10 * 60_000

/** What one invocation did, for its summary line. Schedules, except `started`, `failed`, `busy` and `missed`: runs. */
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
  /** Whose cloud could not be entered, or whose server was not found. */
  unreachable: number
  /** Would have been started, in a dry run. */
  planned: number
}

/** A schedule on its way through one invocation, with what its `state` should say afterwards. */
interface Item {
  readonly schedule: Schedule
  readonly since: Date
  /** The server's id: known from the item, or from the last time its name was looked up. */
  readonly server: string | undefined
  change: { -readonly [Field in keyof StateChange]: StateChange[Field] }
}

/** An item whose server is known, with what is to be done about it. */
interface Decided {
  readonly item: Item
  readonly decision: Decision
}

type Due = Extract<Decision, { kind: 'due' }>

/**
 * Snapshots every server of one cadence that is due.
 *
 * Nothing is asked of OpenStack unless something is due. Then each cloud costs one token, one listing of its servers
 * and one POST for each server. One bad item, server or cloud never stops the others.
 *
 * @throws AggregateError when the tables failed for some of the runs; the others are done all the same.
 */
export async function snapshot(cadence: Cadence, tick: Tick, ports: Ports): Promise<SnapshotSummary> {
  const summary: SnapshotSummary = {
    schedules: 0, invalid: 0, disabled: 0, notDue: 0, started: 0, failed: 0, busy: 0, missed: 0,
    waiting: 0, claimedElsewhere: 0, unreachable: 0, planned: 0,
  }
  const faults: unknown[] = []
  const items: Item[] = []
  const states: Promise<void>[] = []

  for (const parsed of await ports.schedules.query(cadence)) {
    summary.schedules += 1
    if (!parsed.valid) {
      summary.invalid += 1
      states.push(reportInvalid(parsed.invalid, ports))
    } else if (!parsed.schedule.enabled) {
      summary.disabled += 1
      states.push(writeState(parsed.schedule, { since: undefined, next: undefined, problem: undefined }, ports))
    } else {
      const { schedule } = parsed
      const since = countsSince(schedule, tick.now)
      const server = 'id' in schedule.server ? schedule.server.id : schedule.state.lastRun?.server
      items.push({ schedule, since, server, change: { since: since.toISOString() } })
    }
  }

  const invocation: Invocation = { tick, ports, summary, faults }
  const candidates: (Item | Decided)[] = items.filter((item) => item.server === undefined && mayBeDue(item, tick.now))
  for (const item of items) {
    if (item.server === undefined && !mayBeDue(item, tick.now)) {
      summary.notDue += 1
      item.change.next = turnsAt(item.schedule, undefined, item.since, tick.now).next.startsAt.toISOString()
      item.change.problem = undefined
    }
  }
  for (const decided of await decide(items.filter((item) => item.server !== undefined), invocation)) {
    if (decided.decision.kind === 'due') candidates.push(decided)
    else await leave(decided, invocation)
  }

  const clouds = Map.groupBy(candidates, (candidate) => ('item' in candidate ? candidate.item : candidate).schedule.cloud)
  await Promise.all([...clouds].map(([cloud, theirs]) => snapshotCloud(cloud, theirs, invocation)))

  const limit = pLimit(concurrentStarts)
  await Promise.all([...states, ...items.map((item) => limit(() => writeState(item.schedule, item.change, ports)))])
  if (faults.length > 0) throw new AggregateError(faults, `${faults.length} of ${cadence}'s runs could not be recorded.`)
  return summary
}

interface Invocation {
  readonly tick: Tick
  readonly ports: Ports
  readonly summary: SnapshotSummary
  readonly faults: unknown[]
}

/** Whether an item whose server's id is not known yet could be due for the earliest of all servers. */
function mayBeDue({ schedule, since }: Item, now: Date): boolean {
  return schedule.onEnable === 'now' || turnsAt(schedule, undefined, since, now).current.startsAt >= since
}

/** Decides about items whose server's id is known; reads their runs, and asks nothing of OpenStack. */
async function decide(items: readonly Item[], { tick, ports }: Invocation): Promise<Decided[]> {
  const keyed = items.map((item) => {
    const turns = turnsAt(item.schedule, item.server, item.since, tick.now)
    const key = (period: string): RunKey => ({ server: item.server!, schedule: item.schedule.key, period })
    return { item, turns, current: key(turns.current.period), previous: turns.previous && key(turns.previous.period) }
  })
  const current = await ports.runs.get(keyed.map((entry) => entry.current))
  const previousKeys = keyed.flatMap((entry) => (current.has(runKeyText(entry.current)) || !entry.previous ? [] : [entry.previous]))
  const previous = await ports.runs.get(previousKeys)
  return keyed.map((entry) => {
    const runs = {
      current: current.get(runKeyText(entry.current)),
      previous: entry.previous && previous.get(runKeyText(entry.previous)),
    }
    // The item shows the problem of the run that counts now, whichever function found it.
    entry.item.change.problem = runs.current?.status === 'good' ? undefined : runs.current?.problem?.message
    return { item: entry.item, decision: decideDue(entry.item.schedule, entry.turns, runs, entry.item.since, tick.now) }
  })
}

async function leave({ item, decision }: Decided, invocation: Invocation): Promise<void> {
  if (decision.kind === 'due') return
  invocation.summary.notDue += 1
  item.change.next = decision.next.toISOString()
  invocation.ports.log.debug(`not due: ${decision.reason}`, { cloud: item.schedule.cloud, schedule: item.schedule.key, server: item.server! })
  await recordMissed(decision, invocation)
}

/** Snapshots one cloud's due servers, stalest first. */
async function snapshotCloud(name: string, candidates: readonly (Item | Decided)[], invocation: Invocation): Promise<void> {
  const { tick, ports, summary, faults } = invocation
  try {
    let cloud: Cloud
    let servers: Server[]
    try {
      cloud = await ports.clouds.open(name, tick.timeLeftMs)
      servers = await cloud.compute.listServers()
    } catch (error) {
      if (!hasCode(error)) throw error
      ports.log.error(error.message, { cloud: name, code: error.code, requestId: error.requestId })
      await startAll(undefined, candidates.flatMap((candidate) => refused(candidate, error, invocation)), invocation)
      return
    }
    const due = stalestFirst(await resolve(candidates, name, servers, invocation))
    if (due.length === 0) return
    let free = cloud.maxInFlight - (await ports.runs.countInFlight(name))
    const startable = due.filter(({ item, server, refusal }) => {
      if (refusal) return true
      free -= 1
      if (free >= 0) return true
      summary.waiting += 1
      ports.log.info(`waiting: ${cloud.maxInFlight} images of this cloud are being made`, { cloud: name, server: server.id, schedule: item.schedule.key })
      return false
    })
    await startAll(cloud, startable, invocation)
  } catch (error) {
    ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
    faults.push(error)
  }
}

/** A due server. With a `refusal` its run is claimed and recorded as failed without asking OpenStack. */
interface Startable {
  readonly item: Item
  readonly decision: Due
  readonly server: Server
  readonly refusal: Problem | undefined
}

/** Finds each candidate's server, and decides anew where a name now means another server than it did. */
async function resolve(candidates: readonly (Item | Decided)[], cloud: string, servers: readonly Server[], invocation: Invocation): Promise<Startable[]> {
  const index = indexServers(servers)
  const startable: Startable[] = []
  const undecided: Item[] = []
  for (const candidate of candidates) {
    const item = 'item' in candidate ? candidate.item : candidate
    const server = selectServer(item.schedule.server, index, cloud)
    if ('code' in server) startable.push(...refused(candidate, server, invocation))
    else if ('item' in candidate && candidate.decision.kind === 'due' && server.id === item.server) {
      startable.push({ item, decision: candidate.decision, server, refusal: refusalOf(server) })
    } else undecided.push({ ...item, server: server.id })
  }
  for (const decided of await decide(undecided, invocation)) {
    const { item, decision } = decided
    const server = index.byId.get(item.server!)!
    if (decision.kind === 'due') startable.push({ item, decision, server, refusal: refusalOf(server) })
    else await leave(decided, invocation)
  }
  return startable
}

/**
 * A candidate whose cloud or server could not be reached. Its run is recorded as failed, so that the period is not
 * forgotten; where only a name is known there is no run to record, and the item alone says what is wrong.
 */
function refused(candidate: Item | Decided, problem: Problem, { ports, summary }: Invocation): Startable[] {
  summary.unreachable += 1
  if ('item' in candidate && candidate.decision.kind === 'due' && 'id' in candidate.item.schedule.server) {
    const { item, decision } = candidate
    const id = item.server!
    const name = (decision.after ?? decision.missed)?.serverName ?? id
    return [{ item, decision, server: { id, name, status: 'UNKNOWN', taskState: null, attachedVolumes: 0 }, refusal: problem }]
  }
  const { schedule, change } = 'item' in candidate ? candidate.item : candidate
  change.problem = problem.message
  ports.log.warn(problem.message, { cloud: schedule.cloud, schedule: schedule.key, code: problem.code })
  if (schedule.state.problem !== problem.message) {
    const reason = { code: problem.code, message: problem.message }
    ports.events.publish({ type: 'Scheduled Image Failed', cloud: schedule.cloud, schedule: schedule.key, reason })
  }
  return []
}

/** The server whose last good image is oldest comes first, one that has none before all. */
function stalestFirst(due: readonly Startable[]): Startable[] {
  const staleness = ({ item, decision }: Startable) => `${item.schedule.state.lastGood?.time ?? ''} ${decision.turn.startsAt.toISOString()}`
  return due.toSorted((a, b) => (staleness(a) < staleness(b) ? -1 : 1))
}

async function startAll(cloud: Cloud | undefined, startable: readonly Startable[], invocation: Invocation): Promise<void> {
  const limit = pLimit(concurrentStarts)
  await Promise.all(
    startable.map((due) =>
      limit(() => start(cloud, due, invocation)).catch((error: unknown) => {
        const { schedule } = due.item
        invocation.ports.log.error('a run could not be recorded', { cloud: schedule.cloud, server: due.server.id, schedule: schedule.key, error })
        invocation.faults.push(error)
      }),
    ),
  )
}

/** Claims one run, and asks for its image. */
async function start(cloud: Cloud | undefined, { item, decision, server, refusal }: Startable, invocation: Invocation): Promise<void> {
  const { tick, ports, summary } = invocation
  const { schedule } = item
  const { period } = decision.turn
  const fields = { cloud: schedule.cloud, server: server.id, serverName: server.name, schedule: schedule.key, period }
  if (tick.timeLeftMs() < reserveMs) {
    summary.waiting += 1
    ports.log.info('waiting: too little time is left in this invocation', fields)
    return
  }
  const at = ports.clock()
  const claimed: Run = {
    cloud: schedule.cloud, server: server.id, serverName: server.name, schedule: schedule.key, period,
    status: 'starting', runId: ports.newId(), attempt: decision.attempt,
    scheduledFor: decision.turn.startsAt, until: decision.until,
    startedAt: at, leaseUntil: new Date(at.getTime() + leaseMs),
    attachedVolumes: server.attachedVolumes, imageName: imageName(schedule, { server: server.name, period, at }),
    ...(decision.after?.problem && { problem: decision.after.problem }),
  }
  if (ports.dryRun) {
    summary.planned += 1
    ports.log.info(refusal ? `dry run: would not start: ${refusal.message}` : `dry run: would start ${claimed.imageName}`, fields)
    return
  }
  await recordMissed(decision, invocation)
  if (!(await ports.runs.claim(claimed, decision.after))) {
    summary.claimedElsewhere += 1
    ports.log.info('another invocation has claimed this run', fields)
    return
  }
  item.change.next = decision.until.toISOString()
  item.change.lastRun = { time: at.toISOString(), period, server: server.id }
  if (refusal || !cloud) return recordFailure(claimed, refusal!, item, invocation)

  let answer: Awaited<ReturnType<Cloud['compute']['createImage']>>
  try {
    answer = await cloud.compute.createImage(server.id, claimed.imageName, imageMetadata(claimed, claimed.runId))
  } catch (error) {
    if (!hasCode(error)) throw error
    return recordFailure(claimed, error, item, invocation)
  }
  const { image, requestId } = answer
  summary.started += 1
  ports.log.info(`started ${claimed.imageName}`, { ...fields, image, attempt: claimed.attempt, requestId })
  await ports.runs.advance(claimed, { ...claimed, status: 'saving', image, ...(requestId && { requestId }) })
  ports.events.publish({
    type: 'Scheduled Image Started', cloud: schedule.cloud, schedule: schedule.key, period, attempt: claimed.attempt,
    server: { id: server.id, name: server.name }, image: { id: image, name: claimed.imageName },
  })
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
  ports.log.warn(reason.message, fields)
  // A cloud that stays away is told of once, not at each of the 96 ticks of a day.
  if (reason.code.startsWith('CLOUD_') && reason.message === item.schedule.state.problem) return
  ports.events.publish({
    type: 'Scheduled Image Failed', cloud: claimed.cloud, schedule: claimed.schedule, period: claimed.period, attempt: claimed.attempt,
    server: { id: claimed.server, name: claimed.serverName }, reason,
  })
}

/** Tells a person of a period that ended without a good image. */
async function recordMissed({ missed }: Decision, { ports, summary }: Invocation): Promise<void> {
  if (!missed || ports.dryRun) return
  if (!(await ports.runs.advance(missed, { ...missed, status: 'missed' }))) return
  summary.missed += 1
  const reason = missed.problem ?? { code: 'CLOUD_ERROR', message: 'No attempt succeeded.' }
  ports.log.error(`missed: period ${missed.period} ended without a good image. ${reason.message}`, {
    cloud: missed.cloud, server: missed.server, serverName: missed.serverName, schedule: missed.schedule, period: missed.period, code: reason.code,
  })
  ports.events.publish({
    type: 'Scheduled Image Missed', cloud: missed.cloud, schedule: missed.schedule, period: missed.period, attempt: missed.attempt,
    server: { id: missed.server, name: missed.serverName }, reason,
  })
}

async function reportInvalid(invalid: InvalidSchedule, ports: Ports): Promise<void> {
  const sentence = invalidSentence(invalid)
  ports.log.warn(`invalid schedule: ${sentence}`, { cloud: invalid.cloud, schedule: invalid.key, faults: invalid.faults })
  if (invalid.state.problem !== sentence) {
    ports.events.publish({
      type: 'Schedule Invalid', cloud: invalid.cloud, schedule: invalid.key, reason: { code: 'SCHEDULE_INVALID', message: sentence },
    })
  }
  await writeState(invalid, { problem: sentence, next: undefined }, ports)
}
