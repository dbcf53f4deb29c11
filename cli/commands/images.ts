import type { Command } from 'commander'
import { appraise, type Appraisal } from '../../lib/planner/appraisal.ts'
import { sizeOf, takeInventory, type Inventory } from '../../lib/runner/inventory.ts'
import { allSchedules } from '../../lib/runner/items.ts'
import type { Context } from '../context.ts'
import { serverId } from '../server.ts'
import { ageText, sizeText, table, timeText } from '../table.ts'

export function registerImages(program: Command, context: () => Context): void {
  program
    .command('images')
    .summary('list the scheduled images of a server, with what keeps or deletes each')
    .description('Lists the scheduled images of a server, newest first: which are kept, which the next prune deletes, and why. A deleted server is given by its UUID.')
    .argument('<server>', 'name or UUID')
    .addHelpText('after', `
Examples:
  scheduled-images images web-1`)
    .action((server: string) => images(server, context()))
}

async function images(given: string, context: Context): Promise<void> {
  const { cloud: name } = context.options
  const { ports } = context.open()
  const cloud = await context.enter(ports)
  const server = await serverId(given, () => Promise.resolve(cloud))
  const [parsed, runs] = await Promise.all([allSchedules(ports.schedules), ports.runs.history(server)])
  const inventory = await takeInventory(name, cloud, server, parsed)
  const appraisals = appraise(inventory.evidence, runs)
  context.show(
    appraisals.map((one) => appraisalJson(one, inventory)),
    () => (appraisals.length === 0 ? `There are no scheduled images of ${given}.` : appraisalTable(appraisals, inventory, context)),
  )
}

export function appraisalTable(appraisals: readonly Appraisal[], { snapshots }: Inventory, { clock, terminal }: Pick<Context, 'clock' | 'terminal'>): string {
  const now = clock()
  const rows = appraisals.map(({ image, schedule, verdict, reason, good }) => [
    image.id, image.name, schedule, timeText(image.createdAt), ageText(now.getTime() - image.createdAt.getTime()), sizeText(sizeOf(image, snapshots)),
    good ? 'good' : image.status, `${verdict}: ${reason}`,
  ])
  return table(['IMAGE', 'NAME', 'SCHEDULE', 'MADE', 'AGE', 'SIZE', 'STATE', 'VERDICT'], rows, terminal.columns)
}

export function appraisalJson({ image, schedule, period, verdict, reason, good }: Appraisal, { snapshots }: Inventory): Record<string, unknown> {
  const { id, name, status, createdAt } = image
  return { id, name, status, good, createdAt, bytes: sizeOf(image, snapshots), schedule, period, protected: image.protected, verdict, reason }
}
