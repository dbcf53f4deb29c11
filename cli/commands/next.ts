import { InvalidArgumentError, type Command } from 'commander'
import type { Schedule } from '../../lib/model/schedule.ts'
import { outlook } from '../../lib/planner/outlook.ts'
import { allSchedules } from '../../lib/runner/items.ts'
import type { Context } from '../context.ts'
import { serverText } from '../schedule-text.ts'
import { lastNames } from '../server.ts'
import { table, timeText } from '../table.ts'

const mostRuns = 1000

export function registerNext(program: Command, context: () => Context): void {
  program
    .command('next')
    .summary('list the runs that come next')
    .description('Lists the next runs of all schedules, in order, in UTC and on the clocks of each schedule. Retries are not among them: list shows those.')
    .option('-n, --count <runs>', `how many; 1-${mostRuns}`, count, 10)
    .addHelpText('after', `
Examples:
  scheduled-images next -n 20`)
    .action((options: { count: number }) => next(options.count, context()))
}

function count(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > mostRuns) throw new InvalidArgumentError(`It must be a whole number from 1 to ${mostRuns}.`)
  return value
}

async function next(runs: number, context: Context): Promise<void> {
  const { ports } = context.open()
  const parsed = await allSchedules(ports.schedules)
  const schedules = parsed.flatMap((item) => (item.valid && item.schedule.enabled && item.schedule.cadence !== 'manual' ? [item.schedule] : []))
  const names = await lastNames(parsed, ports.runs)
  const upcoming = schedules
    .flatMap((schedule) => outlook(schedule, serverOf(schedule), context.clock(), runs).map((run) => ({ schedule, ...run })))
    .toSorted((a, b) => a.startsAt.getTime() - b.startsAt.getTime() || (a.schedule.key < b.schedule.key ? -1 : 1))
    .slice(0, runs)
  context.show(
    upcoming.map(({ schedule, ...run }) => ({ schedule: schedule.key, server: schedule.server, serverName: names.get(schedule.key), ...run })),
    () =>
      upcoming.length === 0
        ? 'No schedule is valid and enabled, so nothing comes.'
        : table(['STARTS', 'LOCAL', 'SCHEDULE', 'SERVER', ''], upcoming.map(({ schedule, startsAt, local, clockChange }) => [timeText(startsAt), local, schedule.key, names.get(schedule.key) ?? serverText(schedule.server), clockChange ?? '']), context.terminal.columns),
  )
}

/** The server whose share of `spread` counts, as far as it is known; of a selector the earliest of any server. */
export function serverOf({ server, state }: Schedule): string | undefined {
  if ('id' in server) return server.id
  return 'name' in server ? state.lastRun?.server : undefined
}
