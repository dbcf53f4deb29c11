import type { Command } from 'commander'
import { enrolments, type Enrolment } from '../../lib/runner/enrolment.ts'
import type { Context } from '../context.ts'
import { NovaFailure } from '../failure.ts'
import { serverId } from '../server.ts'

/** `nova scheduled-images-show`. */
export function registerShow(program: Command, context: () => Context): void {
  program
    .command('show')
    .summary('show whether a server has scheduled images')
    .description('Shows the schedule of a server that enable has made.')
    .argument('<server>', 'name or UUID')
    .addHelpText('after', `
Examples:
  scheduled-images show web-1
  scheduled-images show web-1 -o json`)
    .action((server: string) => show(server, context()))
}

async function show(given: string, context: Context): Promise<void> {
  const { ports } = context.open()
  const server = await serverId(given, () => context.enter(ports))
  const present = await enrolments(server, ports.schedules)
  if (present.length === 0) throw notEnabled(server)
  context.show(present.map(({ item }) => item), () => present.map(text).join('\n'))
}

/** The words of Rackspace's client, which scripts look for. */
function text({ key: { cadence }, item }: Enrolment): string {
  const type = `${cadence[0]!.toUpperCase()}${cadence.slice(1)}`
  const day = cadence === 'weekly' ? ` on: ${String(item['dayOfWeek']).toUpperCase()}` : ''
  const when = cadence === 'custom' ? ` at: ${String(item['cron'])}` : ''
  return `Schedule type: ${type}${day}${when}\nRetention: ${item['keep'] === undefined ? String(item['retention']) : JSON.stringify(item['keep'])}`
}

export function notEnabled(server: string): NovaFailure {
  return new NovaFailure('NotFound', `Scheduled images not enabled for server ${server}`, 404)
}
