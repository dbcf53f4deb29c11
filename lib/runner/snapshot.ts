import pLimit from 'p-limit'
import { hasCode, type Problem } from '../model/errors.ts'
import type { Image } from '../model/image.ts'
import { runKeyText, type RunKey } from '../model/run.ts'
import { invalidSentence, type Cadence, type InvalidSchedule } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { busySince, decideDue, turnsAt, type Decision } from '../planner/due.ts'
import type { Turn } from '../planner/calendar.ts'
import { stuckAfterMs } from '../planner/follow-up.ts'
import { findForgotten, isForgotten, recoveredRun, rememberedOf } from '../planner/recovery.ts'
import { isImageOf } from '../planner/ownership.ts'
import { indexServers, refusalOf, selectServer } from '../planner/selection.ts'
import { listMarked } from './observation.ts'
import type { Cloud, Ports, Tick } from './ports.ts'
import { fieldsOf } from './settle.ts'
import { recordMissed, start, type Due, type Invocation, type Item, type SnapshotSummary, type Startable } from './start.ts'
import { countsSince, writeState } from './state.ts'

/** How many images one invocation asks one cloud for at the same time. Nova answers each in seconds. */
const concurrentStarts = 10

/** An item that is due, or (without a decision) may be: its server's name has not been looked up yet. */
interface Candidate {
  readonly item: Item
  readonly decision?: Due
}

/**
 * Snapshots every server of one cadence that is due.
 *
 * Nothing is asked of OpenStack unless something is due. Then each cloud costs one token, one listing of its servers
 * and one POST for each server. One bad item, server or cloud never stops the others, and neither does a run that the
 * tables fail for: that is a fault, logged and counted.
 */
export async function snapshot(cadence: Cadence, tick: Tick, ports: Ports): Promise<SnapshotSummary> {
  const summary: SnapshotSummary = {
    schedules: 0, invalid: 0, disabled: 0, notDue: 0, started: 0, failed: 0, busy: 0, missed: 0,
    waiting: 0, claimedElsewhere: 0, recovered: 0, unreachable: 0, planned: 0, faults: 0,
  }
  const items: Item[] = []
  const states: Promise<boolean>[] = []

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

  const invocation: Invocation = { tick, ports, summary }
  const candidates: Candidate[] = []
  for (const item of items.filter(({ server }) => server === undefined)) {
    const turns = turnsAt(item.schedule, undefined, tick.now)
    if (item.schedule.onEnable === 'now' || turns.current.startsAt >= item.since) candidates.push({ item })
    else {
      summary.notDue += 1
      item.change.next = turns.next.startsAt.toISOString()
      item.change.problem = undefined
    }
  }
  for (const { item, decision } of await decide(items.filter(({ server }) => server !== undefined), invocation)) {
    if (decision.kind === 'due') candidates.push({ item, decision })
    else await leave(item, decision, invocation)
  }

  const clouds = Map.groupBy(candidates, ({ item }) => item.schedule.cloud)
  await Promise.all([...clouds].map(([cloud, theirs]) => snapshotCloud(cloud, theirs, invocation)))

  const limit = pLimit(concurrentStarts)
  const written = await Promise.all([...states, ...items.map((item) => limit(() => writeState(item.schedule, item.change, ports)))])
  summary.faults += written.filter((success) => !success).length
  return summary
}

/** Decides about items whose server's id is known; reads their runs, and asks nothing of OpenStack. */
async function decide(items: readonly Item[], { tick, ports }: Invocation): Promise<{ item: Item; decision: Decision }[]> {
  const keyed = items.map((item) => {
    const turns = turnsAt(item.schedule, item.server, tick.now)
    const key = ({ period }: Turn): RunKey => ({ server: item.server!, schedule: item.schedule.key, period })
    return { item, turns, current: key(turns.current), previous: key(turns.previous) }
  })
  const current = await ports.runs.get(keyed.map((entry) => entry.current))
  const previous = await ports.runs.get(keyed.filter((entry) => !current.has(runKeyText(entry.current))).map((entry) => entry.previous))
  return keyed.map((entry) => {
    const { item, turns } = entry
    const runs = { current: current.get(runKeyText(entry.current)), previous: previous.get(runKeyText(entry.previous)) }
    const decision = decideDue(item.schedule, item.server!, turns, runs, item.since, tick.now)
    const last = runs.current ?? runs.previous
    if (last) Object.assign(item.change, rememberedOf(item.schedule, last))
    // The item shows the problem of the run that counts now, whichever function found it.
    item.change.problem = runs.current?.status === 'good' ? undefined : runs.current?.problem?.message
    if (decision.kind === 'not due' && decision.reason === 'the image of the previous period is still being made') {
      item.change.problem = runs.previous?.problem?.message ?? `The image of ${turns.previous.period} is still being made, and that of ${turns.current.period} waits for it.`
    }
    return { item, decision }
  })
}

async function leave(item: Item, decision: Extract<Decision, { kind: 'not due' }>, invocation: Invocation): Promise<void> {
  invocation.summary.notDue += 1
  item.change.next = decision.next.toISOString()
  invocation.ports.log.debug(`not due: ${decision.reason}`, { cloud: item.schedule.cloud, schedule: item.schedule.key, server: item.server! })
  await recordMissed(item, decision, invocation)
}

/** Snapshots one cloud's due servers, stalest first. */
async function snapshotCloud(name: string, candidates: readonly Candidate[], invocation: Invocation): Promise<void> {
  const { tick, ports, summary } = invocation
  try {
    let cloud: Cloud
    let servers: Server[]
    try {
      cloud = await ports.clouds.open(name, tick.timeLeftMs)
      servers = await cloud.compute.listServers()
    } catch (error) {
      if (!hasCode(error)) throw error
      ports.log.error(error.message, { cloud: name, code: error.code, requestId: error.requestId })
      await startAll(undefined, candidates.flatMap((candidate) => refused(candidate, error, 'cloud', invocation)), invocation)
      return
    }
    const due = stalestFirst(await withoutForgotten(name, await resolve(candidates, name, servers, invocation), cloud, invocation))
    if (due.length === 0) return
    let free = cloud.maxInFlight - (await ports.runs.countInFlight(name, new Date(ports.clock().getTime() - stuckAfterMs)))
    const asked = new Set<string>()
    const startable = due.filter(({ item, server, refusal }) => {
      if (refusal) return true
      // Nova checks whether a server is busy before it makes the image, and marks it busy afterwards: of two requests at once one leaves an image that stays queued for ever.
      const reason = asked.has(server.id) ? 'another image of this server is asked for now' : free <= 0 ? `as many images of this cloud are being made as max_in_flight allows (${cloud.maxInFlight})` : undefined
      if (reason === undefined) {
        asked.add(server.id)
        free -= 1
        return true
      }
      summary.waiting += 1
      ports.log.info(`waiting: ${reason}`, { cloud: name, server: server.id, schedule: item.schedule.key })
      return false
    })
    await startAll(cloud, startable, invocation)
  } catch (error) {
    ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
    summary.faults += 1
  }
}

/** Finds each candidate's server, and decides anew where a name now means another server than it did. */
async function resolve(candidates: readonly Candidate[], cloud: string, servers: readonly Server[], invocation: Invocation): Promise<Startable[]> {
  const index = indexServers(servers)
  const startable: Startable[] = []
  const undecided: Item[] = []
  for (const candidate of candidates) {
    const { item, decision } = candidate
    if ('selector' in item.schedule.server) continue
    const server = selectServer(item.schedule.server, index, cloud)
    if ('code' in server) startable.push(...refused(candidate, server, 'server', invocation))
    else if (decision && server.id === item.server) startable.push(startableOf(item, decision, server, invocation))
    else undecided.push({ ...item, server: server.id })
  }
  for (const { item, decision } of await decide(undecided, invocation)) {
    const server = index.byId.get(item.server!)!
    if (decision.kind === 'due') startable.push(startableOf(item, decision, server, invocation))
    else await leave(item, decision, invocation)
  }
  return startable
}

function startableOf(item: Item, decision: Due, server: Server, { ports }: Invocation): Startable {
  return { item, decision, server, refusal: refusalOf(server, busySince(decision.after), ports.clock()) }
}

/**
 * Leaves out the runs that have their image although the runs table does not know it, and writes them down anew. The cloud's
 * images are listed only when an item remembers more than the table, or when the answer to the attempt before was lost.
 */
async function withoutForgotten(name: string, due: readonly Startable[], cloud: Cloud, { ports, summary }: Invocation): Promise<Startable[]> {
  const isSuspect = ({ item, decision, server }: Startable) => decision.after?.problem?.code === 'ANSWER_LOST' || isForgotten(item.schedule, server.id, decision.turn, decision.after)
  if (!due.some(isSuspect)) return [...due]
  let images: Image[]
  try {
    images = await listMarked(cloud)
  } catch (error) {
    if (!hasCode(error)) throw error
    // They stay due: a second image of a period is worse than a late one.
    summary.unreachable += due.filter(isSuspect).length
    ports.log.error(`the runs table has forgotten runs, and their images cannot be looked for: ${error.message}`, { cloud: name, code: error.code, requestId: error.requestId })
    return due.filter((startable) => !isSuspect(startable))
  }
  const left: Startable[] = []
  for (const startable of due) {
    const { item, decision, server } = startable
    const after = decision.after?.problem?.code === 'ANSWER_LOST' ? decision.after : undefined
    // Prune may have died each time since it came.
    const late = after && images.find((image) => isImageOf(after, image, cloud.project))
    if (after && late) {
      const { problem: _problem, retryAt: _retryAt, ...rest } = after
      summary.recovered += 1
      item.change.next = decision.until.toISOString()
      ports.log.info('the image of an attempt that was given up is there after all', { ...fieldsOf(after), image: late.id })
      if (!ports.dryRun) await ports.runs.advance(after, { ...rest, status: 'saving', image: late.id })
      continue
    }
    const image = isSuspect(startable) ? findForgotten(item.schedule, server, decision.turn, images, cloud.project, decision.after) : undefined
    if (!image) {
      left.push(startable)
      continue
    }
    const run = recoveredRun(item.schedule, server, decision.turn, decision.until, image)
    summary.recovered += 1
    item.change.next = decision.until.toISOString()
    ports.log.warn('the runs table has forgotten this run; its image was found by its marks', { ...fieldsOf(run) })
    if (!ports.dryRun) await ports.runs.claim(run, decision.after)
  }
  return left
}

/**
 * A candidate whose cloud or server could not be reached. Its run is recorded as failed, so that the period is not
 * forgotten; where only a name is known there is no run to record, and the item alone says what is wrong.
 */
function refused({ item, decision }: Candidate, problem: Problem, what: 'cloud' | 'server', { ports, summary }: Invocation): Startable[] {
  summary.unreachable += 1
  const { schedule, change } = item
  // The id that a name had is good enough while only the cloud is away, but not once the name means none or two.
  if (decision && (what === 'cloud' || 'id' in schedule.server)) {
    const id = item.server!
    const name = (decision.after ?? decision.missed)?.serverName ?? id
    return [{ item, decision, server: { id, name, status: 'UNKNOWN', taskState: null, volumes: [], tags: undefined, metadata: {}, host: undefined, image: undefined }, refusal: problem }]
  }
  change.problem = problem.message
  change.next = undefined
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
        invocation.summary.faults += 1
      }),
    ),
  )
}

async function reportInvalid(invalid: InvalidSchedule, ports: Ports): Promise<boolean> {
  const sentence = invalidSentence(invalid)
  ports.log.warn(`invalid schedule: ${sentence}`, { cloud: invalid.cloud, schedule: invalid.key, faults: invalid.faults })
  if (invalid.state.problem !== sentence) {
    ports.events.publish({
      type: 'Schedule Invalid', cloud: invalid.cloud, schedule: invalid.key, reason: { code: 'SCHEDULE_INVALID', message: sentence },
    })
  }
  return writeState(invalid, { problem: sentence, next: undefined }, ports)
}
