import type { Command } from 'commander'
import { enrolments } from '../../lib/runner/enrolment.ts'
import type { Context } from '../context.ts'
import { serverId } from '../server.ts'
import { notEnabled } from './show.ts'

/** `nova scheduled-images-disable`. */
export function registerDisable(program: Command, context: () => Context): void {
  program
    .command('disable')
    .summary('make no more scheduled images of a server')
    .description('Disables scheduled images of a server. The images that there are stay, and nothing deletes them any more.')
    .argument('<server>', 'name or UUID')
    .addHelpText('after', `
Examples:
  scheduled-images disable web-1`)
    .action((server: string) => disable(server, context()))
}

async function disable(given: string, context: Context): Promise<void> {
  const { ports } = context.open()
  const server = await serverId(given, () => context.enter(ports))
  const present = await enrolments(server, ports.schedules)
  if (present.length === 0) throw notEnabled(server)
  for (const { key } of present) await ports.schedules.remove(key)
  const disabled = present.map(({ key: { cadence, name } }) => `${cadence}/${name}`)
  // nova says nothing on standard output.
  if (context.options.output === 'json') context.show({ disabled }, () => '')
  context.terminal.note(`Scheduled images of ${given} are disabled: ${disabled.join(', ')}. The images stay, and nothing deletes them any more.`)
}
