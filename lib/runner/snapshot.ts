import pLimit from 'p-limit'
import { hasCode, type Problem } from '../model/errors.ts'
import type { Image } from '../model/image.ts'
import { runKeyText, type Run, type RunKey } from '../model/run.ts'
import { invalidSentence, type Cadence, type InvalidSchedule, type Schedule } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { admit } from '../planner/admission.ts'
import type { Turn } from '../planner/calendar.ts'
import { busySince, decideDue, isSelectorDue, turnsAt, type Decision } from '../planner/due.ts'
import { stuckAfterMs } from '../planner/follow-up.ts'
import { outlook } from '../planner/outlook.ts'
import { isImageOf } from '../planner/ownership.ts'
import { findForgotten, isForgotten, recoveredRun, rememberedOf } from '../planner/recovery.ts'
import { indexServers, matchServers, refusalOf, selectServer, type ServerIndex } from '../planner/selection.ts'
import { refuseInconsistent } from './consistency.ts'
import { listMarked } from './observation.ts'
import type { Cloud, Ports, Tick } from './ports.ts'
import { fieldsOf } from './settle.ts'
import { recordMissed, start, stops, type Due, type Invocation, type Item, type Member, type SnapshotSummary, type Startable } from './start.ts'
import { countsSince, isChanged, membersState, writeState } from './state.ts'

/** How many images one invocation asks one cloud for at the same time. Nova answers each in seconds. */
const concurrentStarts = 10
/** A selector that cannot be used is looked at this often, in case it was corrected or servers came. */
const lookAgainMs = 60 * 60_000
/** So many of the next runs are told of when a schedule begins to count. */
const toldRuns = 3

/** What is known of an item whose server's id is known. */
interface Judged {
  readonly item: Item
  readonly decision: Decision
  readonly forgotten: boolean
  readonly lastGood: Date | undefined
}

/** An item that is due, or (without a judgement) may be: its servers have not been looked up yet. */
interface Candidate {
  readonly item: Item
  readonly judged?: Judged & { readonly decision: Due }
}

/**
 * Snapshots every server of one cadence that is due.
 *
 * Nothing is asked of OpenStack unless something is due, or a selector has to be looked at. Then each cloud costs one token,
 * one listing of its servers and one POST for each server. One bad item, server or cloud never stops the others, and neither
 * does a run that the tables fail for: that is a fault, logged and counted.
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

/** Of items whose server's id is known: those that are due. The others are left until later. */
async function sift(items: readonly Item[], invocation: Invocation): Promise<(Candidate & Required<Pick<Candidate, 'judged'>>)[]> {
  const due: (Candidate & Required<Pick<Candidate, 'judged'>>)[] = []
  for (const judged of await judge(items, invocation)) {
    const { item, decision } = judged
    if (decision.kind === 'due') due.push({ item, judged: { ...judged, decision } })
    else await leave(item, decision, invocation)
  }
  return due
}

/** Decides about items whose server's id is known; reads their runs, and asks nothing of OpenStack. */
async function judge(items: readonly Item[], { tick, ports }: Invocation): Promise<Judged[]> {
  const keyed = items.map((item) => {
    const { schedule } = item
    const turns = turnsAt(schedule, item.server, tick.now)
    const key = ({ period }: Turn): RunKey => ({ server: item.server!, schedule: schedule.key, period })
    // A selector's item remembers one of its servers: when the table has forgotten that run, it has forgotten the others too.
    const { lastRun } = schedule.state
    const witness = 'selector' in schedule.server && lastRun?.period === turns.current.period ? { server: lastRun.server, schedule: schedule.key, period: lastRun.period } : undefined
    return { item, turns, current: key(turns.current), previous: key(turns.previous), witness }
  })
  const current = await ports.runs.get(keyed.flatMap((entry) => [entry.current, ...(entry.witness ? [entry.witness] : [])]))
  // Of one server of a selector, only the run before tells when its last good image was made.
  const isAsked = ({ item, current: key }: (typeof keyed)[number]) => {
    const run = current.get(runKeyText(key))
    return run === undefined || (run.status === 'failed' && 'selector' in item.schedule.server)
  }
  const previous = await ports.runs.get(keyed.filter(isAsked).map((entry) => entry.previous))
  return keyed.map((entry) => {
    const { item, turns, witness } = entry
    const { schedule } = item
    const runs = { current: current.get(runKeyText(entry.current)), previous: previous.get(runKeyText(entry.previous)) }
    const decision = decideDue(schedule, item.server!, turns, runs, item.since, tick.now)
    const last = runs.current ?? runs.previous
    if (last) Object.assign(item.change, rememberedOf(schedule, last))
    // The item shows the problem of the run that counts now, whichever function found it.
    item.change.problem = runs.current?.problem?.message
    if (decision.kind === 'not due' && decision.reason === 'the image of the previous period is still being made') {
      item.change.problem = runs.previous?.problem?.message ?? `The image of ${turns.previous.period} is still being made, and that of ${turns.current.period} waits for it.`
    }
    const forgotten = witness ? runs.current === undefined && !current.has(runKeyText(witness)) : isForgotten(schedule, item.server!, turns.current, runs.current)
    const remembered = 'selector' in schedule.server ? undefined : schedule.state.lastGood?.time
    const lastGood = remembered === undefined ? goodSince(runs.previous) : new Date(remembered)
    return { item, decision, forgotten, lastGood }
  })
}

function goodSince(run: Run | undefined): Date | undefined {
  return run?.status === 'good' ? (run.createdAt ?? run.startedAt) : undefined
}

async function leave(item: Item, decision: Extract<Decision, { kind: 'not due' }>, invocation: Invocation): Promise<void> {
  invocation.summary.notDue += 1
  item.change.next = decision.next.toISOString()
  invocation.ports.log.debug(`not due: ${decision.reason}`, { cloud: item.schedule.cloud, schedule: item.schedule.key, server: item.server! })
  await recordMissed(item, decision, invocation)
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

/** Finds each candidate's servers, and decides about those that were not known, or where a name now means another server than it did. */
async function resolve(candidates: readonly Candidate[], cloud: string, index: ServerIndex, invocation: Invocation): Promise<Startable[]> {
  const startable: Startable[] = []
  const undecided: Item[] = []
  for (const candidate of candidates) {
    const { item, judged } = candidate
    const { server: reference } = item.schedule
    if ('selector' in reference) {
      const matched = matchServers(reference.selector, item.schedule.maxServers, [...index.byId.values()], cloud)
      if ('code' in matched) startable.push(...refused(candidate, matched, 'server', invocation))
      else {
        item.members = matched.map(({ id, name }): Member => ({ ...item, server: id, serverName: name, change: {} }))
        undecided.push(...item.members)
      }
      continue
    }
    const server = selectServer(reference, index, cloud)
    if ('code' in server) {
      startable.push(...refused(candidate, server, 'server', invocation))
      continue
    }
    item.change.missingSince = undefined
    if (judged && server.id === item.server) startable.push(startableOf(judged, server, invocation))
    else undecided.push({ ...item, server: server.id })
  }
  for (const { judged } of await sift(undecided, invocation)) startable.push(startableOf(judged, index.byId.get(judged.item.server!)!, invocation))
  return startable
}

function startableOf({ item, decision, forgotten, lastGood }: Judged & { readonly decision: Due }, server: Server, { ports }: Invocation): Startable {
  return { item, decision, server, forgotten, lastGood, refusal: refusalOf(server, busySince(decision.after), ports.clock()) }
}

/** Two schedules of one cadence make two images of a server, which few people mean. */
function warnOfSeveral(due: readonly Startable[], items: readonly Item[], { ports }: Invocation): void {
  const schedules = new Map<string, Set<string>>()
  for (const item of items) {
    for (const { server } of item.members ?? [item]) {
      if (server !== undefined) schedules.set(server, (schedules.get(server) ?? new Set()).add(item.schedule.key))
    }
  }
  for (const server of new Map(due.map((startable) => [startable.server.id, startable.server])).values()) {
    const keys = [...(schedules.get(server.id) ?? [])]
    if (keys.length < 2) continue
    ports.log.warn(`server "${server.name}" is in ${keys.length} schedules of one cadence (${keys.join(', ')}), and each makes its own image of it`, { server: server.id, schedules: keys })
  }
}

/**
 * Leaves out the runs that have their image although the runs table does not know it, and writes them down anew. The cloud's
 * images are listed only when an item remembers more than the table, or when the answer to the attempt before was lost.
 */
async function withoutForgotten(name: string, due: readonly Startable[], cloud: Cloud, { ports, summary }: Invocation): Promise<Startable[]> {
  const isSuspect = ({ decision, forgotten }: Startable) => decision.after?.problem?.code === 'ANSWER_LOST' || forgotten
  if (!due.some(isSuspect)) return [...due]
  let images: Image[]
  try {
    images = await listMarked(cloud)
  } catch (error) {
    if (!hasCode(error)) throw error
    // They stay due: a second image of a period is worse than a late one.
    const suspects = due.filter(isSuspect)
    summary.unreachable += suspects.length
    for (const { item, decision } of suspects) item.change.next = decision.turn.startsAt.toISOString()
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
function refused({ item, judged }: Candidate, refusal: Problem, what: 'cloud' | 'server', { tick, ports, summary }: Invocation): Startable[] {
  summary.unreachable += 1
  const { schedule, change } = item
  let problem = refusal
  if (refusal.code === 'SERVER_NOT_FOUND') {
    change.missingSince = schedule.state.missingSince ?? tick.now.toISOString()
    problem = { code: refusal.code, message: `${refusal.message} It has been missing since ${change.missingSince}.` }
  }
  // The id that a name had is good enough while only the cloud is away, but not once the name means none or two.
  if (judged && (what === 'cloud' || 'id' in schedule.server)) {
    const { decision } = judged
    const id = item.server!
    const name = (decision.after ?? decision.missed)?.serverName ?? id
    return [{ ...judged, server: { id, name, status: 'UNKNOWN', taskState: null, volumes: [], tags: undefined, metadata: {}, host: undefined, image: undefined }, refusal: problem }]
  }
  change.problem = problem.message
  change.next = what === 'server' && 'selector' in schedule.server ? new Date(tick.now.getTime() + lookAgainMs).toISOString() : undefined
  ports.log.warn(problem.message, { cloud: schedule.cloud, schedule: schedule.key, code: problem.code })
  if (schedule.state.problem !== problem.message) {
    const reason = { code: problem.code, message: problem.message }
    ports.events.publish({ type: 'Scheduled Image Failed', cloud: schedule.cloud, schedule: schedule.key, reason })
  }
  return []
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
