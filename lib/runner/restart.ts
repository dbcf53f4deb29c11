import { hasCode, ScheduledImagesError, type Problem } from '../model/errors.ts'
import { volumeSnapshots } from '../model/image.ts'
import { runKeyText, type Restart, type Run, type RunKey } from '../model/run.ts'
import { goodness } from '../planner/goodness.ts'
import { consistencyRefusal, refusalOf } from '../planner/selection.ts'
import { reserveMs, type Cloud, type Ports, type Tick } from './ports.ts'

const pollMs = 5000
/** Nova gives a guest a minute to shut down, and then turns it off. */
const mostStopPolls = 30
const mostMakePolls = 180
const mostStartPolls = 24
/** A server is not kept stopped for longer than this, whatever becomes of its image. */
const mostStoppedMs = 60 * 60_000
/** A request to stop that was left unanswered may still be carried out within this time. */
const watchedMs = 30 * 60_000

/** What refuses a request to stop a server: then it was not stopped by us. */
const refusals = ['SERVER_STATE', 'SERVER_LOCKED', 'SERVER_BUSY', 'SERVER_NOT_FOUND', 'FORBIDDEN', 'BAD_REQUEST', 'CONFLICT', 'RATE_LIMITED'] as const

/**
 * Stops a running server for its image, and waits until it is stopped. The promise to start it again is written down first.
 * The server is looked at anew: its turn may come minutes after it was listed.
 *
 * @returns `restart` is to be kept, whatever happens next; without one the server was left as it was. `problem` says why no
 *   image can be asked for.
 */
export async function stop(run: Run, cloud: Cloud, tick: Tick, ports: Ports): Promise<{ readonly restart?: Restart; readonly problem?: Problem }> {
  const { server, serverName, schedule, period, runId } = run
  try {
    const seen = await cloud.compute.getServer(server)
    const problem = seen ? (refusalOf(seen, undefined, ports.clock()) ?? consistencyRefusal(seen, 'stopped', undefined)) : deleted(run)
    if (problem) return { problem }
    if (seen?.status === 'SHUTOFF') return {}
  } catch (error) {
    if (!hasCode(error)) throw error
    return { problem: error }
  }
  const restart: Restart = { cloud: run.cloud, server, serverName, schedule, period, runId, startedAt: ports.clock() }
  await ports.runs.putRestart(restart)
  ports.log.info(`stopping server "${serverName}" for its image`, fieldsOf(restart))
  try {
    await cloud.compute.stopServer(server)
  } catch (error) {
    if (!hasCode(error)) throw error
    if (!hasCode(error, ...refusals)) return { restart, problem: error }
    await ports.runs.removeRestart(restart)
    return { problem: error }
  }
  try {
    for (let polls = 0; polls < mostStopPolls && tick.timeLeftMs() > reserveMs; polls += 1) {
      const seen = await cloud.compute.getServer(server)
      if (!seen) return { restart, problem: deleted(run) }
      if (seen.status === 'SHUTOFF' && seen.taskState === null) return { restart }
      await ports.sleep(pollMs)
    }
  } catch (error) {
    if (!hasCode(error)) throw error
    return { restart, problem: error }
  }
  return { restart, problem: new ScheduledImagesError('SERVER_NOT_STOPPED', `Server "${serverName}" was asked to stop and did not in time; no image of it was made.`) }
}

function deleted({ server }: Run): Problem {
  return { code: 'SERVER_NOT_FOUND', message: `Server ${server} no longer exists; its images are kept.` }
}

/**
 * Waits until a stopped server's image needs it no longer, as long as the invocation lasts.
 *
 * @returns whether it was seen made, or failed. Otherwise prune is to start the server once it is.
 */
export async function untilMade(image: string, cloud: Cloud, tick: Tick, ports: Ports): Promise<boolean> {
  for (let polls = 0; polls < mostMakePolls && tick.timeLeftMs() > reserveMs; polls += 1) {
    try {
      if (!(await isBeingMade(image, cloud))) return true
    } catch (error) {
      if (!hasCode(error)) throw error
      ports.log.warn(`the image of a stopped server is looked at again: ${error.message}`, { image, code: error.code, requestId: error.requestId })
    }
    await ports.sleep(pollMs)
  }
  ports.log.info('the server stays stopped until its image is made; prune starts it then', { image })
  return false
}

async function isBeingMade(id: string, cloud: Cloud): Promise<boolean> {
  const image = await cloud.image.getImage(id)
  if (!image) return false
  const listed = volumeSnapshots(image).kind === 'snapshots' ? await cloud.blockStorage.listSnapshots() : undefined
  const verdict = goodness(image, listed && new Map([...listed].map(([snapshot, { status }]) => [snapshot, status])))
  return !verdict.good && verdict.pending
}

/**
 * Starts a server again that was stopped for its image. What this invocation cannot see done, prune goes on with.
 *
 * @param stopped - It was seen stopped. Otherwise one that runs may be about to stop.
 */
export async function startAgain(restart: Restart, stopped: boolean, cloud: Cloud, tick: Tick, ports: Ports): Promise<void> {
  let asked = false
  try {
    for (let polls = 0; polls < mostStartPolls && tick.timeLeftMs() > reserveMs / 2; polls += 1) {
      const seen = await cloud.compute.getServer(restart.server)
      if (seen?.status === 'ACTIVE' && seen.taskState === null && !stopped && !asked) return
      if (!seen || (seen.status === 'ACTIVE' && seen.taskState === null)) return await ports.runs.removeRestart(restart)
      if (seen.status === 'SHUTOFF' && seen.taskState === null && !asked) {
        await cloud.compute.startServer(restart.server)
        asked = true
        ports.log.info(`starting server "${restart.serverName}" again`, fieldsOf(restart))
      }
      await ports.sleep(pollMs)
    }
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`server "${restart.serverName}" is not started yet: ${error.message}`, { ...fieldsOf(restart), code: error.code, requestId: error.requestId })
  }
  if (asked) await ports.runs.putRestart({ ...restart, asked })
}

/** What there is to tell of a restart: that a server does not start, which `isNew` once, or that one of which that was told runs again. */
export type RestartNews = { readonly problem: Problem; readonly shown: string; readonly isNew: boolean } | 'over'

/** Its restart is not forgotten before this has resolved. */
export type TellOfRestart = (news: RestartNews) => Promise<void>

/**
 * Goes on with a restart that its own invocation did not see done.
 *
 * It starts only a server that is stopped, and only once no image of it is being made, or after an hour whatever the image does.
 *
 * @param others - Runs of the same server that were in flight a moment ago.
 */
export async function finishRestart(restart: Restart, others: readonly RunKey[], tell: TellOfRestart, cloud: Cloud, ports: Ports): Promise<void> {
  const clock = ports.clock()
  const readRuns = () => ports.runs.get([restart, ...others])
  // A later attempt counts as well: it has stopped the server anew.
  const isNeeded = (runs: ReadonlyMap<string, Run>) => [...runs.values()].some((run) => needsItStopped(run, clock))
  const runs = await readRuns()
  if (isNeeded(runs)) return
  const run = runs.get(runKeyText(restart))
  try {
    const seen = await cloud.compute.getServer(restart.server)
    if (seen && seen.taskState !== null) return
    if (seen?.status === 'SHUTOFF') {
      // An attempt may have begun while the server was looked at.
      if (isNeeded(await readRuns())) return
      await start(restart, cloud, ports)
      if (restart.asked) await tellNotStarted(restart, run, `It was asked to start, and is still stopped. ${goesOn}`, tell, ports)
      else await ports.runs.putRestart({ ...restart, asked: true })
      return
    }
    // A request to stop that was left unanswered may still be carried out.
    const watched = seen?.status === 'ACTIVE' && !restart.asked && restart.told === undefined && clock.getTime() - restart.startedAt.getTime() < watchedMs
    if (watched) return
    if (seen?.status === 'ERROR') await tellNotStarted(restart, run, 'It is in state ERROR by now, from which it cannot be started.', tell, ports)
    else await tellStarted(restart, run, tell, ports)
    await ports.runs.removeRestart(restart)
  } catch (error) {
    if (!hasCode(error)) throw error
    await tellNotStarted(restart, run, `${error.message} ${goesOn}`, tell, ports, error.requestId)
  }
}

const goesOn = 'It is tried again at each tick; start it by hand if it is needed.'

function needsItStopped(run: Run, clock: Date): boolean {
  if (run.status === 'starting') return clock < run.leaseUntil
  return run.status === 'saving' && clock.getTime() - run.startedAt.getTime() < mostStoppedMs
}

async function start(restart: Restart, cloud: Cloud, ports: Ports): Promise<void> {
  try {
    await cloud.compute.startServer(restart.server)
  } catch (error) {
    if (!hasCode(error)) throw error
    // Another invocation, or a person, may have been first, or only the answer was lost.
    const seen = await cloud.compute.getServer(restart.server)
    if (seen?.status === 'SHUTOFF' && seen.taskState === null) throw error
  }
  ports.log.info(`starting server "${restart.serverName}" again`, fieldsOf(restart))
}

/** The item shows the problem of its run, a good one too; so this stands before what the run has to say. */
async function tellNotStarted(restart: Restart, run: Run | undefined, why: string, tell: TellOfRestart, ports: Ports, requestId?: string): Promise<void> {
  const problem: Problem = { code: 'SERVER_NOT_STARTED', message: `Server "${restart.serverName}" was stopped for its image and cannot be started again: ${why}` }
  ports.log.error(problem.message, { ...fieldsOf(restart), code: problem.code, requestId })
  const isNew = restart.told === undefined
  const told = restart.told ?? problem.message
  // First, since it is what takes it out of the run again.
  if (isNew) await ports.runs.putRestart({ ...restart, told })
  const isRecorded = run?.problem?.message.startsWith(told)
  const shown = isRecorded ? run!.problem!.message : [told, run?.problem?.message].filter(Boolean).join(' ')
  if (run && !isRecorded) await ports.runs.advance(run, { ...run, problem: { code: run.problem?.code ?? problem.code, message: shown } })
  await tell({ problem, shown, isNew })
}

async function tellStarted({ told }: Restart, run: Run | undefined, tell: TellOfRestart, ports: Ports): Promise<void> {
  if (told === undefined) return
  if (run?.problem?.message.startsWith(told)) {
    const { problem: { code, message }, ...rest } = run
    const left = message.slice(told.length).trim()
    await ports.runs.advance(run, { ...rest, ...(left && { problem: { code, message: left } }) })
  }
  await tell('over')
}

function fieldsOf({ cloud, server, serverName, schedule, period }: Restart) {
  return { cloud, server, serverName, schedule, period }
}
