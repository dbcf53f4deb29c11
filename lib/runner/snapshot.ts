import pLimit from 'p-limit'
import { hasCode, type Problem } from '../model/errors.ts'
import { invalidSentence, type InvalidSchedule, type Schedule, type TimedCadence } from '../model/schedule.ts'
import { shardVersion, type SnapshotShard } from '../model/shard.ts'
import { admit } from '../planner/admission.ts'
import { isSelectorDue, turnsAt } from '../planner/due.ts'
import { stuckAfterMs } from '../planner/follow-up.ts'
import { outlook } from '../planner/outlook.ts'
import { indexServers, type ServerIndex } from '../planner/selection.ts'
import { cut } from '../planner/slices.ts'
import { refuseInconsistent } from './consistency.ts'
import { enterCloud } from './entry.ts'
import { withoutForgotten } from './forgotten.ts'
import { handOver } from './handover.ts'
import { sift, type Candidate } from './judgement.ts'
import type { Cloud, Ports, Shards, Tick } from './ports.ts'
import { refused, resolve, warnOfSeveral } from './resolution.ts'
import { nothingYet, start, stops, type Invocation, type Item, type SnapshotSummary, type Startable } from './start.ts'
import { countsSince, isChanged, membersState, writeState } from './state.ts'

/** How many images one invocation asks one cloud for at the same time. Nova answers each in seconds. */
const concurrentStarts = 10
/** So many of the next runs are told of when a schedule begins to count. */
const toldRuns = 3

/**
 * Snapshots every server of one cadence that is due.
 *
 * Nothing is asked of OpenStack unless something is due, or a selector has to be looked at. Then each cloud costs one token,
 * one listing of its servers and one POST for each server. One bad item, server or cloud never stops the others, and neither
 * does a run that the tables fail for: that is a fault, logged and counted.
 *
 * Where more servers of a cloud may start than fit one shard, they are handed over, and {@link snapshotShard} starts them.
 */
export async function snapshot(cadence: TimedCadence, tick: Tick, ports: Ports): Promise<SnapshotSummary> {
  const summary = nothingYet()
  const invocation: Invocation = { tick, ports, summary }
  const items: Item[] = []
  const states: Promise<boolean>[] = []

  for (const parsed of await ports.schedules.query(cadence)) {
    summary.schedules += 1
    if (!parsed.valid) {
      summary.invalid += 1
      states.push(reportInvalid(parsed.invalid, ports))
    } else if (!parsed.schedule.enabled) {
      summary.disabled += 1
      states.push(writeState(parsed.schedule, { since: undefined, next: undefined, problem: undefined, missingSince: undefined }, ports))
    } else {
      if (parsed.schedule.state.since === undefined) tellOutlook(parsed.schedule, tick.now, ports)
      items.push(itemOf(parsed.schedule, invocation))
    }
  }

  const clouds = Map.groupBy(await findCandidates(items, invocation), ({ item }) => item.schedule.cloud)
  const handedOver = new Set((await Promise.all([...clouds].map(([cloud, theirs]) => snapshotCloud(cloud, cadence, theirs, items, invocation)))).flat())

  for (const { schedule, members, change } of items) if (members) Object.assign(change, membersState(schedule.state, members))
  states.push(...writeStates(items.filter(({ schedule }) => !handedOver.has(schedule.key)), ports))
  summary.faults += (await Promise.all(states)).filter((success) => !success).length
  return summary
}

/**
 * Starts what {@link snapshot} admitted and handed over, as far as it is still due: the same decisions are made anew, about
 * the servers that it names and no others. The limits of the cloud are heeded anew as well, since it may come late.
 *
 * It writes the state of the items that are still due, but for those with a selector: their servers are in several shards, and
 * the next tick looks at them all.
 */
export async function snapshotShard(shard: SnapshotShard, tick: Tick, ports: Ports): Promise<SnapshotSummary> {
  const summary = nothingYet()
  const invocation: Invocation = { tick, ports, summary }
  const { cloud: name } = shard
  const starts = new Map(shard.starts.map(({ schedule, servers }) => [schedule, new Set(servers)]))
  const isAsked = ({ schedule }: Item, server: string) => starts.get(schedule.name)?.has(server) ?? false
  const items: Item[] = []
  for (const parsed of await ports.schedules.query(shard.cadence)) {
    if (!parsed.valid || !parsed.schedule.enabled || parsed.schedule.cloud !== name) continue
    if (starts.has(parsed.schedule.name)) items.push(itemOf(parsed.schedule, invocation))
  }
  const candidates = await findCandidates(items, invocation)
  if (candidates.length === 0) return summary
  let due: readonly Startable[] = []
  try {
    const entered = await enter(name, tick, ports)
    if ('problem' in entered) {
      // The next tick meets the same, and writes it down.
      summary.unreachable += candidates.length
      return summary
    }
    const resolved = await resolve(candidates, name, entered.index, invocation, isAsked)
    due = leaveLate(resolved.filter(({ item, server }) => isAsked(item, server.id)), invocation)
    await startAll(entered.cloud, await admitDue(name, due, entered, invocation), invocation)
  } catch (error) {
    ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
    summary.faults += 1
  }
  // Of the others the ticks since have written, and know more.
  const single = due.map(({ item }) => item).filter(({ schedule }) => !('selector' in schedule.server))
  summary.faults += (await Promise.all(writeStates(single, ports))).filter((success) => !success).length
  return summary
}

function itemOf(schedule: Schedule, { tick, ports }: Invocation): Item {
  const since = countsSince(schedule, tick.now, ports.clock())
  return { schedule, since, server: knownServer(schedule), change: { since: since.toISOString() } }
}

/** The items that are due, or may be; the others are left until later. */
async function findCandidates(items: readonly Item[], invocation: Invocation): Promise<Candidate[]> {
  const { tick, summary } = invocation
  const candidates: Candidate[] = []
  for (const item of items.filter(({ server }) => server === undefined)) {
    if (mayBeDue(item, tick.now)) candidates.push({ item })
    else {
      summary.notDue += 1
      if ('selector' in item.schedule.server) continue
      item.change.next = turnsAt(item.schedule, undefined, tick.now).next.startsAt.toISOString()
      item.change.problem = undefined
    }
  }
  candidates.push(...(await sift(items.filter(({ server }) => server !== undefined), invocation)))
  return candidates
}

function writeStates(items: readonly Item[], ports: Ports): Promise<boolean>[] {
  const limit = pLimit(concurrentStarts)
  return items.filter(isChanged).map(({ schedule, change }) => limit(() => writeState(schedule, change, ports)))
}

function knownServer({ server, state }: Schedule): string | undefined {
  if ('id' in server) return server.id
  return 'name' in server ? state.lastRun?.server : undefined
}

/** Whether a selector, or a name that was never looked up, has to be looked up now. */
function mayBeDue({ schedule, since }: Item, now: Date): boolean {
  if ('selector' in schedule.server) return isSelectorDue(schedule, now)
  return schedule.onEnable === 'now' || turnsAt(schedule, undefined, now).current.startsAt >= since
}

function tellOutlook(schedule: Schedule, now: Date, ports: Ports): void {
  const server = 'id' in schedule.server ? schedule.server.id : undefined
  const next = outlook(schedule, server, now, toldRuns).map(({ startsAt, local, clockChange }) => ({ startsAt: startsAt.toISOString(), local, clockChange }))
  ports.log.info(`counts from now on; it runs next at ${next.map(({ local }) => local).join(', ')}`, { cloud: schedule.cloud, schedule: schedule.key, next })
}

/**
 * Snapshots one cloud's due servers, stalest first.
 *
 * @returns the keys of the schedules whose one server was handed over to a shard, which writes their state.
 */
async function snapshotCloud(name: string, cadence: TimedCadence, candidates: readonly Candidate[], items: readonly Item[], invocation: Invocation): Promise<string[]> {
  const { tick, ports, summary } = invocation
  try {
    const entered = await enter(name, tick, ports)
    if ('problem' in entered) {
      await startAll(undefined, candidates.flatMap((candidate) => refused(candidate, entered.problem, 'cloud', invocation)), invocation)
      return []
    }
    const resolved = await resolve(candidates, name, entered.index, invocation)
    warnOfSeveral(resolved, items.filter(({ schedule }) => schedule.cloud === name), invocation)
    const admitted = await admitDue(name, resolved, entered, invocation)
    const asking = admitted.filter(({ refusal }) => !refusal)
    const { shards } = ports
    if (!shards || asking.length <= shards.mostServers) {
      await startAll(entered.cloud, admitted, invocation)
      return []
    }
    // What is refused asks nothing of OpenStack.
    await startAll(entered.cloud, admitted.filter(({ refusal }) => refusal), invocation)
    return await handOverStarts(name, cadence, asking, shards, invocation)
  } catch (error) {
    ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
    summary.faults += 1
    return []
  }
}

interface Entered {
  readonly cloud: Cloud
  readonly index: ServerIndex
}

async function enter(name: string, tick: Tick, ports: Ports): Promise<Entered | { readonly problem: Problem }> {
  try {
    const cloud = await enterCloud(name, tick, ports)
    return { cloud, index: indexServers(await cloud.compute.listServers()) }
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.error(error.message, { cloud: name, code: error.code, requestId: error.requestId })
    return { problem: error }
  }
}

/** Of what is due in one cloud: what may start now, in the order of its turn. */
async function admitDue(name: string, resolved: readonly Startable[], { cloud, index }: Entered, invocation: Invocation): Promise<Startable[]> {
  const { ports, summary } = invocation
  const due = await refuseInconsistent(await withoutForgotten(name, resolved, cloud, invocation), cloud)
  if (due.length === 0) return []
  const underway = await ports.runs.serversInFlight(name, new Date(ports.clock().getTime() - stuckAfterMs))
  const applicants = due.map((startable) => ({ ...startable, schedule: startable.item.schedule.key, startsAt: startable.decision.turn.startsAt, refused: startable.refusal !== undefined, stopped: startable.item.schedule.consistency === 'stopped' }))
  const { admitted, waiting } = admit(applicants, underway, index.byId, cloud)
  summary.waiting += waiting.length
  for (const { applicant: { item, decision, server, schedule }, reason } of waiting) {
    item.change.next = decision.turn.startsAt.toISOString()
    ports.log.info(`waiting: ${reason}`, { cloud: name, server: server.id, schedule })
  }
  // Those that are waited for come last, or they would hold up the others.
  return admitted.toSorted((a, b) => Number(stops(a)) - Number(stops(b)))
}

/** Leaves out runs whose period is over by now: a shard may have waited for long, and it would be the next one's image. */
function leaveLate(due: readonly Startable[], { ports, summary }: Invocation): Startable[] {
  const clock = ports.clock()
  return due.filter(({ item, server, decision: { turn, until } }) => {
    if (until > clock) return true
    summary.notDue += 1
    ports.log.info(`no longer due: period ${turn.period} was over before its shard came`, { cloud: item.schedule.cloud, server: server.id, schedule: item.schedule.key, period: turn.period })
    return false
  })
}

/** @returns the keys of the schedules whose one server was handed over. */
async function handOverStarts(cloud: string, cadence: TimedCadence, asking: readonly Startable[], queue: Shards, { tick, ports, summary }: Invocation): Promise<string[]> {
  // Until a shard has started it, it is due; a selector's item says so.
  for (const { item, decision } of asking) item.change.next = decision.turn.startsAt.toISOString()
  const pieces = cut(asking, queue.mostServers)
  const shards = pieces.map((piece, i): SnapshotShard => {
    const bySchedule = Map.groupBy(piece, ({ item }) => item.schedule.name)
    const starts = [...bySchedule].map(([schedule, theirs]) => ({ schedule, servers: theirs.map(({ server }) => server.id) }))
    return { version: shardVersion, kind: 'snapshot', cloud, now: tick.now, shard: i + 1, of: pieces.length, cadence, starts }
  })
  const sent = new Set(await handOver(shards, queue, ports, summary))
  return pieces.flatMap((piece, i) => (sent.has(shards[i]!) ? piece.filter(({ item }) => !('selector' in item.schedule.server)).map(({ item }) => item.schedule.key) : []))
}

async function startAll(cloud: Cloud | undefined, startable: readonly Startable[], invocation: Invocation): Promise<void> {
  const limit = pLimit(concurrentStarts)
  await Promise.all(
    startable.map((due) =>
      limit(() => start(cloud, due, invocation)).catch((error: unknown) => {
        const { schedule } = due.item
        due.item.change.next = due.decision.turn.startsAt.toISOString()
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
