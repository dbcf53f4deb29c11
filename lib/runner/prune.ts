import pLimit from 'p-limit'
import { hasCode, type Problem } from '../model/errors.ts'
import { volumeSnapshots } from '../model/image.ts'
import type { Deletion, Restart, Run, Sweep } from '../model/run.ts'
import type { InvalidSchedule, ParsedSchedule, Schedule } from '../model/schedule.ts'
import type { PruneShard } from '../model/shard.ts'
import { freshnessOf } from '../planner/freshness.ts'
import { isInSlice, partOf } from '../planner/slices.ts'
import { finishDeletion } from './deletion.ts'
import { enterCloud } from './entry.ts'
import { handOverPrune } from './handover.ts'
import { allSchedules, existingKeys, schedulesOf } from './items.ts'
import { listMarked, observe, type Observation } from './observation.ts'
import { reserveMs, type Cloud, type InFlight, type Ports, type StateChange, type Tick } from './ports.ts'
import { removeExcess, type RemovalCounts } from './removal.ts'
import { finishRestart, type RestartNews } from './restart.ts'
import { fieldsOf, recordTrouble, settle } from './settle.ts'
import { shareImages } from './sharing.ts'
import { settledState, writeState } from './state.ts'
import { sweep } from './sweep.ts'

const hourMs = 3_600_000
/** A cloud without runs in flight is looked through this often; a little less than a day, since ticks jitter. */
const dailyMs = 24 * hourMs - 5 * 60_000
/** A Cinder snapshot that will not go is tried again at each tick for this long, and then whenever images are pruned. */
const eagerMs = 2 * hourMs

const concurrentRuns = 10

/** What one invocation did, for its summary line. */
export interface PruneSummary extends RemovalCounts {
  /** Clouds that were asked anything. */
  clouds: number
  good: number
  failed: number
  /** Runs whose image is still being made. */
  waiting: number
  unreachable: number
  /** Schedules without the good image that they should have by now. */
  overdue: number
  /** What AWS or a bug kept from being done or recorded; the log has each. */
  faults: number
}

/**
 * Settles every run in flight, starts servers again that were stopped, shares good images, and deletes those beyond retention.
 *
 * A cloud is asked only when a run, a deletion, a sweep or a restart of it is in flight, and once a day. Then it costs one token, one
 * listing of the images that carry our mark (a page for each 1000), one of Cinder's snapshots where an image needs it, one
 * of all images, hidden ones too, where Cinder's snapshots are to be deleted, and what sealing and deleting take. What the tables fail for is a fault, logged and counted; the rest is done.
 * Where there is something to do for more servers of a cloud than fit one shard, it is handed over in slices.
 */
export async function prune(tick: Tick, ports: Ports): Promise<PruneSummary> {
  const summary = nothingYet()
  const [inFlight, parsed] = await Promise.all([ports.runs.inFlight(), allSchedules(ports.schedules)])
  ports.metrics.record('ImagesInFlight', inFlight.runs.length)
  const invocation: Invocation = { tick, ports, summary, shown: new Map() }
  const names = new Set(Object.values(inFlight).flat().map(({ cloud }) => cloud))
  for (const item of parsed) if (item.valid && item.schedule.enabled) names.add(item.schedule.cloud)

  await Promise.all([...names].map((name) => tryCloud({ name, parsed, ...inFlightOf(name, inFlight) }, invocation)))
  summary.overdue = tellOfFreshness(parsed, invocation)
  return summary
}

/**
 * Does the same for one slice of a cloud's servers, as {@link prune} handed it over. That it has pruned is not recorded, since
 * it knows nothing of the other slices: once runs were settled in slices, the next tick looks through the whole cloud.
 */
export async function pruneShard(shard: PruneShard, tick: Tick, ports: Ports): Promise<PruneSummary> {
  const summary = nothingYet()
  const { cloud: name } = shard
  const [inFlight, parsed] = await Promise.all([ports.runs.inFlight(name), allSchedules(ports.schedules)])
  const here = ({ server }: { server: string }) => isInSlice(server, shard)
  const { runs, deletions, sweeps, restarts } = inFlight
  const work: Work = { name, parsed, runs: runs.filter(here), deletions: deletions.filter(here), sweeps: sweeps.filter(here), restarts: restarts.filter(here), slice: shard }
  await tryCloud(work, { tick, ports: { ...ports, maxDeletes: partOf(ports.maxDeletes, shard) }, summary, shown: new Map() })
  return summary
}

function nothingYet(): PruneSummary {
  return { clouds: 0, good: 0, failed: 0, waiting: 0, deleted: 0, kept: 0, left: 0, capped: 0, planned: 0, refused: 0, unreachable: 0, overdue: 0, sharded: 0, faults: 0 }
}

async function tryCloud(work: Work, invocation: Invocation): Promise<void> {
  const { ports, summary } = invocation
  const { name } = work
  try {
    await pruneCloud(work, invocation)
  } catch (error) {
    if (hasCode(error)) {
      summary.unreachable += 1
      ports.log.error(error.message, { cloud: name, code: error.code, requestId: error.requestId })
      await tellOfTrouble(work.runs, error, work.parsed, invocation)
    } else {
      summary.faults += 1
      ports.log.error(`cloud "${name}" was not finished`, { cloud: name, error })
    }
  }
}

/** So many overdue schedules are named. */
const mostNamed = 20

/** @returns how many schedules are overdue, once all is settled. It is told here, since prune alone reads the items of every cadence. */
function tellOfFreshness(parsed: readonly ParsedSchedule[], { tick, ports, shown }: Invocation): number {
  const overdue = parsed.flatMap((item) => {
    if (!item.valid) return []
    const { schedule } = item
    const { lastGood = schedule.state.lastGood } = shown.get(schedule.key) ?? {}
    const settled: Schedule = { ...schedule, state: { ...schedule.state, ...(lastGood && { lastGood }) } }
    return freshnessOf({ valid: true, schedule: settled }, tick.now).verdict === 'overdue' ? [schedule.key] : []
  })
  ports.metrics.record('SchedulesOverdue', overdue.length)
  ports.metrics.record('SchedulesInvalid', parsed.filter(({ valid }) => !valid).length)
  if (overdue.length > 0) {
    const named = overdue.slice(0, mostNamed)
    ports.log.warn(`${overdue.length === 1 ? '1 schedule is' : `${overdue.length} schedules are`} overdue: ${named.join(', ')}${overdue.length > named.length ? ', …' : ''}`, { schedules: named })
  }
  return overdue.length
}

interface Invocation {
  readonly tick: Tick
  readonly ports: Ports
  readonly summary: PruneSummary
  /** What items were found to have to say, by their keys. */
  readonly shown: Map<string, StateChange>
}

interface Work extends InFlight {
  readonly name: string
  /** All items of all clouds. */
  readonly parsed: readonly ParsedSchedule[]
  /** Of a shard: the servers that it is for. */
  readonly slice?: PruneShard
}

function inFlightOf(name: string, { runs, deletions, sweeps, restarts }: InFlight): InFlight {
  const here = ({ cloud }: { cloud: string }) => cloud === name
  return { runs: runs.filter(here), deletions: deletions.filter(here), sweeps: sweeps.filter(here), restarts: restarts.filter(here) }
}

async function pruneCloud(work: Work, invocation: Invocation): Promise<void> {
  const { tick, ports, summary } = invocation
  const { name, slice } = work
  const clock = ports.clock()
  const daily = slice ? slice.pruning : await isDailyDue(name, invocation)
  const isFresh = ({ startedAt }: Deletion | Sweep) => clock.getTime() - startedAt.getTime() < eagerMs
  const runs = work.runs.filter((run) => run.status === 'saving' || run.leaseUntil <= clock)
  const freshSweeps = work.sweeps.filter(isFresh)
  const freshDeletions = work.deletions.filter(isFresh)
  const unfinished = new Set([...runs, ...work.restarts, ...freshSweeps, ...freshDeletions].map(({ server }) => server))
  if (!daily && unfinished.size === 0) return
  if (!slice && ports.shards && unfinished.size > ports.shards.mostServers) {
    await handOverPrune(name, unfinished.size, daily, ports.shards, invocation)
    return
  }

  summary.clouds += 1
  const cloud = await enterCloud(name, tick, ports)
  const pruneAtNextTick = () => ports.runs.recordPrune(name, { at: new Date(tick.now.getTime() - dailyMs), project: cloud.project, region: cloud.region })
  const lookAndSettle = async () => {
    const listed = daily || runs.length > 0 || freshSweeps.length > 0 ? await listMarked(cloud) : []
    const observed = observe(name, cloud, listed, pruneAtNextTick, ports)
    return { observed, good: await settleAll(runs, observed, work, invocation) }
  }
  // A server that was stopped has to run again even when Glance does not.
  const { observed, good } = await lookAndSettle().finally(() => restartAll(work, cloud, invocation))
  const pruning = daily || good > 0
  await cleanUp(pruning ? work.deletions : freshDeletions, pruning ? work.sweeps : freshSweeps, observed, invocation)
  if (!pruning) return

  const schedules = schedulesOf(name, work.parsed)
  const existing = existingKeys(work.parsed)
  const shared = await shareImages(schedules, observed, slice, tick, ports)
  const images = [...observed.images.values()]
  const backed = images.some((image) => volumeSnapshots(image).kind === 'snapshots')
  const statuses = backed ? await observed.statuses() : undefined
  const done = await removeExcess(name, { project: cloud.project, images, schedules, existing, statuses }, observed, slice, invocation)
  if (ports.dryRun) return
  const finished = done && shared && (!backed || statuses !== undefined)
  if (!finished) await pruneAtNextTick()
  else if (!slice) await ports.runs.recordPrune(name, { at: tick.now, project: cloud.project, region: cloud.region })
}

/** A cloud that was never pruned has nothing to prune yet: its day begins now. */
async function isDailyDue(cloud: string, { tick, ports }: Invocation): Promise<boolean> {
  const last = await ports.runs.lastPrune(cloud)
  if (last !== undefined) return tick.now.getTime() - last.at.getTime() >= dailyMs
  if (!ports.dryRun) await ports.runs.recordPrune(cloud, { at: tick.now, project: undefined })
  return false
}

/** @returns how many runs became good. */
async function settleAll(runs: readonly Run[], observed: Observation, work: Work, invocation: Invocation): Promise<number> {
  const { tick, ports, summary } = invocation
  const settled: Settling[] = []
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
        settled.push({ run, change })
      }).catch((error: unknown) => {
        ports.log.error('a run could not be recorded', { ...fieldsOf(run), error })
        summary.faults += 1
      }),
    ),
  )
  await showAll(settled, work.parsed, invocation)
  return good
}

interface Settling {
  readonly run: Run
  readonly change: StateChange
}

/** Shows in the items what became of their runs. */
async function showAll(settled: readonly Settling[], parsed: readonly ParsedSchedule[], { tick, ports, summary, shown }: Invocation): Promise<void> {
  const items = itemsOf(parsed)
  const limit = pLimit(concurrentRuns)
  await Promise.all(
    [...Map.groupBy(settled, ({ run }) => run.schedule)].map(([key, theirs]) =>
      limit(async () => {
        const item = items.get(key)
        if (!item) return
        const change = settledState(item, theirs, tick.now)
        shown.set(key, change)
        if (!(await writeState(item, change, ports))) summary.faults += 1
      }),
    ),
  )
}

function itemsOf(parsed: readonly ParsedSchedule[]): ReadonlyMap<string, Schedule | InvalidSchedule> {
  return new Map(parsed.map((item) => (item.valid ? item.schedule : item.invalid)).map((item) => [item.key, item]))
}

/** Starts servers again whose own invocation did not see them running; a person is told of those that will not start. */
async function restartAll({ restarts, runs, parsed }: Work, cloud: Cloud, { tick, ports, summary }: Invocation): Promise<void> {
  if (ports.dryRun) {
    for (const { cloud: name, server, serverName, schedule } of restarts) ports.log.warn(`dry run: would start server "${serverName}" again`, { cloud: name, server, schedule })
    return
  }
  const items = itemsOf(parsed)
  const limit = pLimit(concurrentRuns)
  await Promise.all(
    restarts.map((restart) =>
      limit(async () => {
        if (tick.timeLeftMs() < reserveMs) return
        const others = runs.filter(({ server }) => server === restart.server)
        await finishRestart(restart, others, (news) => tellOfRestart(restart, news, items.get(restart.schedule), tick, ports), cloud, ports)
      }).catch((error: unknown) => {
        ports.log.error('a restart was not finished', { cloud: restart.cloud, server: restart.server, schedule: restart.schedule, error })
        summary.faults += 1
      }),
    ),
  )
}

async function tellOfRestart({ cloud, server, serverName, schedule, period }: Restart, news: RestartNews, item: Schedule | InvalidSchedule | undefined, tick: Tick, ports: Ports): Promise<void> {
  if (news !== 'over') {
    if (news.isNew) ports.events.publish({ type: 'Scheduled Image Failed', cloud, schedule, period, server: { id: server, name: serverName }, reason: news.problem })
    // Settling may have written that there is none.
    if (item) await writeState({ ...item, state: {} }, { problem: news.shown }, ports)
  } else if (item && 'server' in item && 'selector' in item.server) {
    // Its other servers may have problems of their own, so it is looked at again.
    await writeState(item, { next: tick.now.toISOString() }, ports)
  }
}

/** A cloud that cannot be entered keeps its runs from being settled; their items say so, and one event for each. */
async function tellOfTrouble(runs: readonly Run[], problem: Problem, parsed: readonly ParsedSchedule[], invocation: Invocation): Promise<void> {
  const { ports, summary } = invocation
  const troubled: Settling[] = []
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
        troubled.push({ run, change })
      }).catch((error: unknown) => {
        ports.log.error('a run could not be recorded', { ...fieldsOf(run), error })
        summary.faults += 1
      }),
    ),
  )
  await showAll(troubled, parsed, invocation)
}

/** Goes on with deletions, and cleans up after failed attempts. */
async function cleanUp(deletions: readonly Deletion[], sweeps: readonly Sweep[], observed: Observation, { tick, ports, summary }: Invocation): Promise<void> {
  if (ports.dryRun || ports.maxDeletes === 0) return
  const statuses = deletions.some(({ snapshots }) => snapshots.length > 0) ? await observed.statuses() : new Map<string, string>()
  const steps = [
    ...(statuses ? deletions.map((deletion) => ({ of: deletion, take: () => finishDeletion(deletion, statuses, observed, ports) })) : []),
    ...sweeps.map((left) => ({ of: left, take: () => sweep(left, observed, ports) })),
  ]
  for (const { of: { cloud, server, schedule }, take } of steps) {
    if (tick.timeLeftMs() < reserveMs) return
    try {
      summary.left += await take()
    } catch (error) {
      ports.log.error('a deletion or a sweep was not finished', { cloud, server, schedule, error })
      if (!hasCode(error)) summary.faults += 1
    }
  }
}
