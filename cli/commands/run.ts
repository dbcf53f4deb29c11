import { Argument, Option, type Command } from 'commander'
import { summaryText } from '../../lib/model/summary.ts'
import { timedCadences } from '../../lib/model/schedule.ts'
import { choice } from '../choice.ts'
import type { Context } from '../context.ts'
import { ExitCode, exitCodes } from '../failure.ts'
import { finishing } from '../terminal.ts'

const all = 'all'
const wanted = [...timedCadences, all] as const

/** `run` and `prune`: the functions' own work, in this terminal. */
export function registerRun(program: Command, context: () => Context): void {
  program
    .command('run')
    .summary('do what the functions do at a tick: snapshot what is due')
    .description(`Snapshots the servers whose schedule of a cadence is due, as that cadence's function does at each tick. "${all}" does all cadences and then prunes: what a timer on one machine runs.`)
    .addArgument(new Argument('<cadence>', 'which, or all of them').choices(wanted).argParser(choice(wanted)))
    .option('--dry-run', 'plan and log, and change nothing')
    .addHelpText('after', `
Examples:
  scheduled-images --local ./data run all
  scheduled-images run daily --dry-run`)
    .action((cadence: (typeof wanted)[number], options: { dryRun?: true }) => (cadence === all ? work(timedCadences, true, options, context()) : work([cadence], false, options, context())))
  program
    .command('prune')
    .summary('settle the images that are being made, and delete those beyond retention')
    .description('Finds out what became of the images that are being made, and deletes good ones beyond retention, as the function prune does at each tick.')
    .option('--dry-run', 'plan and log, and delete nothing')
    .addOption(new Option('--new-project', 'first: the credentials of --cloud are of another project or region than before, and that is meant').conflicts('dryRun'))
    .addHelpText('after', `
Examples:
  scheduled-images prune --dry-run
  scheduled-images --local ./data prune`)
    .action((options: { dryRun?: true; newProject?: true }) => pruneNow(options, context()))
}

async function pruneNow(options: { dryRun?: true; newProject?: true }, context: Context): Promise<void> {
  if (options.newProject) await takeProject(context)
  return work([], true, options, context)
}

/** What is in flight in the former project is found to be gone from now on. */
async function takeProject({ open, enter, options: { cloud: name }, clock, terminal }: Context): Promise<void> {
  const { ports } = open()
  const { project, region } = await enter(ports)
  const { at = clock() } = (await ports.runs.lastPrune(name)) ?? {}
  await ports.runs.recordPrune(name, { at, project, region })
  terminal.note(`Cloud "${name}" is project ${project}${region === undefined ? '' : `, region ${region},`} from now on.`)
}

async function work(cadences: readonly (typeof timedCadences)[number][], pruning: boolean, { dryRun }: { dryRun?: true }, context: Context): Promise<void> {
  context.outliveInterrupt()
  context.terminal.interrupted.addEventListener('abort', () => context.terminal.note(finishing))
  const installation = context.open({ dryRun })
  const tick = context.tick(context.clock())
  const summaries: Record<string, object> = {}
  let faults = 0
  try {
    for (const cadence of cadences) {
      if (context.terminal.interrupted.aborted) break
      const summary = await installation.snapshot(cadence, tick)
      summaries[cadence] = summary
      faults += summary.faults
    }
    if (pruning && !context.terminal.interrupted.aborted) {
      const summary = await installation.prune(tick)
      summaries['prune'] = summary
      faults += summary.faults
    }
  } finally {
    await installation.flush()
  }
  context.show(summaries, () => Object.entries(summaries).map(([name, summary]) => `${name}: ${summaryText(summary)}`).join('\n'))
  if (faults > 0) {
    context.terminal.note(`ERROR (Faults): ${faults} steps could not be done or recorded; the lines before this one say which.`)
    throw new ExitCode(exitCodes.failed)
  }
}
