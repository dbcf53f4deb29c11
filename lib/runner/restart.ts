import { hasCode, ScheduledImagesError, type Problem } from '../model/errors.ts'
import { volumeSnapshots } from '../model/image.ts'
import { runKeyText, type Restart, type Run } from '../model/run.ts'
import { goodness } from '../planner/goodness.ts'
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
 *
 * @returns `restart` is to be kept, whatever happens next; without one the server was left as it was. `problem` says why no
 *   image can be asked for.
 */
export async function stop(run: Run, cloud: Cloud, tick: Tick, ports: Ports): Promise<{ readonly restart?: Restart; readonly problem?: ScheduledImagesError }> {
  const { server, serverName, schedule, period, runId } = run
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
      if (seen?.status === 'SHUTOFF' && seen.taskState === null) return { restart }
      await ports.sleep(pollMs)
    }
  } catch (error) {
    if (!hasCode(error)) throw error
    return { restart, problem: error }
  }
  return { restart, problem: new ScheduledImagesError('SERVER_NOT_STOPPED', `Server "${serverName}" was asked to stop and did not in time; no image of it was made.`) }
}

/** Waits until a stopped server's image needs it no longer, as long as the invocation lasts. @returns whether it does not. */
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
  try {
    let asked = false
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
}

/**
 * Goes on with a restart that its own invocation did not see done.
 *
 * It starts only a server that is stopped, and only once no image of it is being made, or after an hour whatever the image does.
 *
 * @returns what keeps it from being started, when that is new.
 */
export async function finishRestart(restart: Restart, cloud: Cloud, ports: Ports): Promise<Problem | undefined> {
  const run = (await ports.runs.get([restart])).get(runKeyText(restart))
  const current = run?.runId === restart.runId ? run : undefined
  const age = ports.clock().getTime() - restart.startedAt.getTime()
  if (current?.status === 'starting' && ports.clock() < current.leaseUntil) return undefined
  if (current?.status === 'saving' && age < mostStoppedMs) return undefined
  try {
    const seen = await cloud.compute.getServer(restart.server)
    if (seen && seen.taskState !== null) return undefined
    if (seen?.status === 'SHUTOFF') {
      await cloud.compute.startServer(restart.server)
      ports.log.info(`starting server "${restart.serverName}" again`, fieldsOf(restart))
    } else if (!seen || seen.status !== 'ACTIVE' || age >= watchedMs) await ports.runs.removeRestart(restart)
    if (current?.problem?.code === 'SERVER_NOT_STARTED') {
      const { problem: _problem, ...rest } = current
      await ports.runs.advance(current, rest)
    }
    return undefined
  } catch (error) {
    if (!hasCode(error)) throw error
    const message = `Server "${restart.serverName}" was stopped for its image and cannot be started again: ${error.message.replace(/\.?$/, '.')} It is tried again at each tick; start it by hand if it is needed.`
    ports.log.error(message, { ...fieldsOf(restart), code: 'SERVER_NOT_STARTED', requestId: error.requestId })
    const problem: Problem = { code: 'SERVER_NOT_STARTED', message }
    // The item shows the problem of the run, a good one too.
    if (current && current.problem?.code !== problem.code) await ports.runs.advance(current, { ...current, problem })
    if (restart.told) return undefined
    await ports.runs.putRestart({ ...restart, told: true })
    return problem
  }
}

function fieldsOf({ cloud, server, serverName, schedule, period }: Restart) {
  return { cloud, server, serverName, schedule, period }
}
