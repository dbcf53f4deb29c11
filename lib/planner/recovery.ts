import { createdBy, marks, type Image } from '../model/image.ts'
import type { Run } from '../model/run.ts'
import type { Schedule, ScheduleState } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import type { Turn } from './calendar.ts'
import { imageName } from './naming.ts'
import { scheduledImage } from './ownership.ts'

/**
 * Whether an item remembers more of a turn than the runs table does: then the table was emptied, or put back to an older
 * state, and before an image is asked for the cloud has to be searched for the one that is there.
 *
 * @param server - UUID.
 * @param run - The turn's run as the runs table has it.
 */
export function isForgotten({ state }: Pick<Schedule, 'state'>, server: string, { period }: Turn, run: Run | undefined): boolean {
  const { lastRun, lastGood } = state
  if (lastRun?.server !== server) return false
  return run === undefined ? lastRun.period === period || lastGood?.period === period : run.status === 'failed' && lastGood?.period === period
}

/**
 * Finds the image that a forgotten run made: a sealed one of the turn, or one that is still unsealed and has the very name
 * that the last attempt gave it. The name is asked for since a snapshot of a server that was restored from one of our
 * images inherits every other mark, and is its maker's.
 *
 * @param failed - The failed run that the runs table has: its own image was judged already.
 */
export function findForgotten(schedule: Schedule, server: Server, { period }: Turn, images: readonly Image[], project: string, failed?: Run): Image | undefined {
  const ofTurn = images.filter(
    ({ owner, properties }) =>
      owner === project && properties[marks.createdBy] === createdBy && properties[marks.server] === server.id &&
      properties[marks.schedule] === schedule.key && properties[marks.period] === period &&
      (failed === undefined || properties[marks.run] !== failed.runId),
  )
  const { lastRun } = schedule.state
  const expected = lastRun && imageName(schedule, { server: server.name, period, at: new Date(lastRun.time) })
  return (
    ofTurn.find((image) => scheduledImage(image, project)) ??
    ofTurn.find((image) => image.properties[marks.seal] === undefined && image.properties[marks.run] !== undefined && image.name === expected)
  )
}

/** The run that must have made an image, written anew; settle finds out what became of it. */
export function recoveredRun(schedule: Schedule, server: Server, { period, startsAt }: Turn, until: Date, image: Image): Run {
  return {
    cloud: schedule.cloud, server: server.id, serverName: server.name, schedule: schedule.key, period,
    status: 'saving', runId: image.properties[marks.run] ?? image.id, attempt: 1, scheduledFor: startsAt, until,
    startedAt: image.createdAt, leaseUntil: image.createdAt, volumes: [...server.volumes], imageName: image.name, image: image.id,
  }
}

/**
 * What an item should remember of a run, where it does not: an invocation may have ended between recording the run and
 * writing the item's state.
 */
export function rememberedOf({ state }: Pick<Schedule, 'state'>, run: Run): Pick<ScheduleState, 'lastRun' | 'lastGood'> {
  const { server, period, image, createdAt } = run
  const time = run.startedAt.toISOString()
  const tried = run.status !== 'missed' && (state.lastRun === undefined || state.lastRun.period < period || (state.lastRun.period === period && state.lastRun.time < time))
  const good = run.status === 'good' && (state.lastGood === undefined || state.lastGood.period < period)
  return {
    ...(tried && { lastRun: { time, period, server } }),
    ...(good && { lastGood: { time: (createdAt ?? run.startedAt).toISOString(), period, image: image! } }),
  }
}
