import pLimit from 'p-limit'
import { hasCode } from '../model/errors.ts'
import { invalidSentence, type InvalidSchedule, type Schedule, type TimedCadence } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { admit } from '../planner/admission.ts'
import { isSelectorDue, turnsAt } from '../planner/due.ts'
import { stuckAfterMs } from '../planner/follow-up.ts'
import { outlook } from '../planner/outlook.ts'
import { indexServers } from '../planner/selection.ts'
import { refuseInconsistent } from './consistency.ts'
import { withoutForgotten } from './forgotten.ts'
import { sift, type Candidate } from './judgement.ts'
import type { Cloud, Ports, Tick } from './ports.ts'
import { refused, resolve, warnOfSeveral } from './resolution.ts'
import { start, stops, type Invocation, type Item, type SnapshotSummary, type Startable } from './start.ts'
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
 */
export async function snapshot(cadence: TimedCadence, tick: Tick, ports: Ports): Promise<SnapshotSummary> {
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
      states.push(writeState(parsed.schedule, { since: undefined, next: undefined, problem: undefined, missingSince: undefined }, ports))
    } else {
      const { schedule } = parsed
      const since = countsSince(schedule, tick.now, ports.clock())
      if (schedule.state.since === undefined) tellOutlook(schedule, tick.now, ports)
      items.push({ schedule, since, server: knownServer(schedule), change: { since: since.toISOString() } })
    }
  }

  const invocation: Invocation = { tick, ports, summary }
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

  const clouds = Map.groupBy(candidates, ({ item }) => item.schedule.cloud)
  await Promise.all([...clouds].map(([cloud, theirs]) => snapshotCloud(cloud, theirs, items, invocation)))

  for (const { schedule, members, change } of items) if (members) Object.assign(change, membersState(schedule.state, members))
  const limit = pLimit(concurrentStarts)
  const written = await Promise.all([...states, ...items.filter(isChanged).map((item) => limit(() => writeState(item.schedule, item.change, ports)))])
  summary.faults += written.filter((success) => !success).length
  return summary
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

/** Snapshots one cloud's due servers, stalest first. */
async function snapshotCloud(name: string, candidates: readonly Candidate[], items: readonly Item[], invocation: Invocation): Promise<void> {
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
    const index = indexServers(servers)
    const resolved = await resolve(candidates, name, index, invocation)
    warnOfSeveral(resolved, items.filter(({ schedule }) => schedule.cloud === name), invocation)
    const due = await refuseInconsistent(await withoutForgotten(name, resolved, cloud, invocation), cloud)
    if (due.length === 0) return
    const underway = await ports.runs.serversInFlight(name, new Date(ports.clock().getTime() - stuckAfterMs))
    const applicants = due.map((startable) => ({ ...startable, schedule: startable.item.schedule.key, startsAt: startable.decision.turn.startsAt, refused: startable.refusal !== undefined, stopped: startable.item.schedule.consistency === 'stopped' }))
    const { admitted, waiting } = admit(applicants, underway, index.byId, cloud)
    summary.waiting += waiting.length
    for (const { applicant: { item, decision, server, schedule }, reason } of waiting) {
      item.change.next = decision.turn.startsAt.toISOString()
      ports.log.info(`waiting: ${reason}`, { cloud: name, server: server.id, schedule })
    }
    // Those that are waited for come last, or they would hold up the others.
    await startAll(cloud, admitted.toSorted((a, b) => Number(stops(a)) - Number(stops(b))), invocation)
  } catch (error) {
    ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
    summary.faults += 1
  }
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
