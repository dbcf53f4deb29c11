import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { awaitImage, findSubject, imageType, isInFlight, rotation, takeImage } from '../manual-image.ts'

interface Options {
  readonly type: string
  readonly rotation?: number
  readonly wait?: true
  readonly dryRun?: true
}

/** One image now, with a rotation by type, as `nova backup` has it. */
export function registerSnapshot(program: Command, context: () => Context): void {
  program
    .command('snapshot')
    .summary('make one image of a server now')
    .description('Makes one image of a server now. Of each type, the newest good images are kept, as many as the rotation says; older ones are deleted once the new one is good.')
    .argument('[server]', 'name or UUID; without it the server on which this runs')
    .option('--type <type>', 'what the image is called and counted by', imageType, 'manual')
    .option('--rotation <count>', 'how many good images of this type are kept; without it as many as before, 7 at first', rotation)
    .option('--wait', 'wait until the image is good')
    .option('--dry-run', 'say what would be done, and do nothing')
    .addHelpText('after', `
Examples:
  scheduled-images snapshot web-1
  scheduled-images snapshot --type before-upgrade --rotation 3 --wait web-1
  scheduled-images --local /var/lib/scheduled-images snapshot`)
    .action((server: string | undefined, options: Options) => snapshot(server, options, context()))
}

async function snapshot(given: string | undefined, options: Options, context: Context): Promise<void> {
  const { terminal } = context
  context.onInterrupt('Interrupted. No image was asked for.')
  const say = (text: string) => {
    if (context.options.output === 'table') terminal.print(text)
  }
  say('INFO: Start OpenStack snapshot creation.')
  const subject = await findSubject(given, context, options.dryRun)
  const { installation, server } = subject
  const tick = context.tick(context.clock())
  try {
    let { schedule, run } = await takeImage(subject, options.type, options.rotation, tick, context)
    if (options.dryRun) return context.show({ dryRun: true, schedule: schedule.key, server: server.id, keep: schedule.keep }, () => 'INFO: Dry run: no image was asked for.')
    if (!run) return terminal.note('No image was asked for.')
    if (isInFlight(run)) {
      say('SUCCESS: Backup image created and pending upload.')
      if (options.wait) run = await awaitImage(run, 'good', subject, tick, context)
      if (terminal.interrupted.aborted && isInFlight(run)) terminal.note(`The image goes on being made; scheduled-images history ${server.name} shows what becomes of it.`)
    }
    if (!isInFlight(run)) say('SUCCESS: Backup image created, and good.')
    context.show(run, () => `INFO: The image is ${run!.imageName} (${run!.image}).`)
  } finally {
    await installation.flush()
  }
}
