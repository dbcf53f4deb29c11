import type { Command } from 'commander'
import type { Run } from '../../lib/model/run.ts'
import type { Context } from '../context.ts'
import { serverId } from '../server.ts'
import { table, timeText } from '../table.ts'

export function registerHistory(program: Command, context: () => Context): void {
  program
    .command('history')
    .summary('list the runs of a server, and what became of each')
    .description('Lists what the service remembers of a server: each run of the last five weeks, newest first, with its image or why there is none.')
    .argument('<server>', 'name or UUID')
    .addHelpText('after', `
Examples:
  scheduled-images history web-1`)
    .action((server: string) => history(server, context()))
}

async function history(given: string, context: Context): Promise<void> {
  const { ports } = context.open()
  const server = await serverId(given, () => context.enter(ports))
  const runs = (await ports.runs.history(server)).toSorted((a, b) => b.startedAt.getTime() - a.startedAt.getTime())
  context.show(
    runs.map(({ cloud, schedule, period, status, attempt, startedAt, scheduledFor, image, imageName, problem, retryAt, requestId }) => ({
      cloud, server, schedule, period, status, attempt, scheduledFor, startedAt, image, imageName, problem, retryAt, requestId,
    })),
    () => (runs.length === 0 ? `Nothing is remembered of ${given}.` : table(['STARTED', 'SCHEDULE', 'PERIOD', 'STATUS', 'ATTEMPT', 'IMAGE'], runs.map(row), context.terminal.columns)),
  )
}

function row({ startedAt, schedule, period, status, attempt, image, problem }: Run): string[] {
  const what = status === 'good' || problem === undefined ? (image ?? '-') : problem.message
  return [timeText(startedAt), schedule, period, status, String(attempt), what]
}
