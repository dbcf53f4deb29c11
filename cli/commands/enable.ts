import { InvalidArgumentError, Option, type Command } from 'commander'
import { ScheduledImagesError } from '../../lib/model/errors.ts'
import { consistencies, daysOfWeek, invalidSentence, parseSchedule, timedCadences, type Cadence, type ScheduleItem } from '../../lib/model/schedule.ts'
import { outlook } from '../../lib/planner/outlook.ts'
import { enrol, enrolledItem, enrolments } from '../../lib/runner/enrolment.ts'
import { choice } from '../choice.ts'
import type { Context } from '../context.ts'
import { NovaFailure } from '../failure.ts'
import { findServer } from '../server.ts'

interface Options {
  readonly dayOfWeek?: string
  readonly cadence?: (typeof timedCadences)[number]
  readonly at?: string
  readonly timeZone?: string
  readonly dayOfMonth?: string
  readonly month?: string
  readonly cron?: string
  readonly consistency?: string
  readonly now?: true
}

/** `nova scheduled-images-enable`, with its arguments and its errors; and what there was no room for. */
export function registerEnable(program: Command, context: () => Context): void {
  program
    .command('enable')
    .summary('give a server scheduled images, or change what it has')
    .description('Enables scheduled images of a server: daily, or weekly with --day-of-week. A server that has them already gets the new retention, and without a day its images become daily.')
    .argument('<server>', 'name or UUID')
    .argument('<retention>', 'how many of the newest good images are kept', wholeNumber)
    // What no day is, is told of in the words of nova.
    .addOption(new Option('--day-of-week <day>', 'weekly, on this day').choices(daysOfWeek).argParser((text) => text))
    .addOption(new Option('--cadence <cadence>', 'how often').choices(timedCadences).argParser(choice(timedCadences)))
    .option('--at <hh:mm>', 'local time of day from which it starts')
    .option('--time-zone <zone>', 'IANA name, such as Europe/Stockholm')
    .option('--day-of-month <day>', 'for monthly and yearly: 1-31')
    .option('--month <month>', 'for yearly: 1-12')
    .option('--cron <fields>', 'for custom: five fields, such as "1 6-18/2 * * *"')
    .addOption(new Option('--consistency <kind>', 'how the image is made').choices(consistencies).argParser(choice(consistencies)))
    .option('--now', 'make the first image at the next tick, and not at the next time')
    .addHelpText('after', `
Examples:
  scheduled-images enable web-1 7
  scheduled-images enable --day-of-week saturday web-1 8
  scheduled-images enable --cadence custom --cron "1 6-18/2 * * *" web-1 12`)
    .action((server: string, retention: number, options: Options) => enable(server, retention, options, context()))
}

async function enable(given: string, retention: number, options: Options, context: Context): Promise<void> {
  const wish = { cadence: cadenceOf(options), attributes: attributesOf(retention, options) }
  const { ports } = context.open()
  const { cloud } = context.options
  const { id, name } = await findServer(given, await context.enter(ports))
  const present = await enrolments(id, ports.schedules)
  const item = enrolledItem(id, cloud, wish, present)
  const parsed = parseSchedule(item)
  if (!parsed.valid) throw new ScheduledImagesError('SCHEDULE_INVALID', `The schedule would not be valid, and nothing was changed: ${invalidSentence(parsed.invalid)}`)
  await enrol(item, present, ports.schedules)
  // nova says nothing on standard output.
  if (context.options.output === 'json') context.show([item], () => '')
  const { key, onEnable, state } = parsed.schedule
  const [next] = outlook(parsed.schedule, id, context.clock(), 1)
  const when = onEnable === 'now' && state.since === undefined ? 'The first one starts at the next tick.' : `The next one starts at ${next!.local}.`
  context.terminal.note(`Scheduled images of ${name} are enabled: ${key}. ${when}`)
}

function cadenceOf({ cadence, dayOfWeek, cron }: Options): Cadence {
  if (dayOfWeek !== undefined && !daysOfWeek.some((day) => day === dayOfWeek.toLowerCase())) {
    throw new NovaFailure('BadRequest', `Day_of_week value must be a string in [${daysOfWeek.map((day) => `'${day}'`).join(', ')}]`, 400)
  }
  return cadence ?? (dayOfWeek !== undefined ? 'weekly' : cron !== undefined ? 'custom' : 'daily')
}

function attributesOf(retention: number, { cadence: _cadence, now, ...given }: Options): ScheduleItem {
  if (retention < 1) throw new NovaFailure('BadRequest', `The retention value ${retention} is not allowed. It must be greater than 0`, 400)
  if (retention > 65_535) throw new NovaFailure('BadRequest', `The retention value ${retention} is not allowed. It cannot exceed 65535`, 400)
  // A person who says how many to keep means just that.
  return { retention, keep: undefined, enabled: undefined, ...(now && { onEnable: 'now' }), ...given }
}

/** A whole number, or wrong usage. */
function wholeNumber(text: string): number {
  if (!/^[+-]?\d+$/.test(text.trim())) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}
