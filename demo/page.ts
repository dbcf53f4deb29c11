import { styleText } from 'node:util'
import Table from 'cli-table3'
import type { Report, ScheduleReport, Trouble } from './report.ts'
import { begin, days } from './story.ts'

const strong = (text: string) => styleText('bold', text)
const faint = (text: string) => styleText('dim', text)
const good = (text: string) => styleText('green', text)
const warning = (text: string) => styleText('yellow', text)
const bad = (text: string) => styleText('red', text)

export const introduction = `${strong('Scheduled Images')}: ${days} simulated days of five servers, from ${minute(begin)} UTC.
The functions are the real ones; OpenStack and DynamoDB are simulated, in this process.`

const lookedAt = ['list', 'images web-1', 'explain daily/db-1', 'history shop-1', 'next', 'check', 'run daily --dry-run']
/** 02:00 of the day after the last one: what is due then has begun. */
const nextNight = new Date(begin.getTime() + (days * 24 + 2) * 3_600_000).toISOString().replace(':00.000Z', 'Z')

/** A directory as a shell takes it. */
function quoted(directory: string): string {
  return /^[\w./-]+$/.test(directory) ? directory : `'${directory.replaceAll("'", "'\\''")}'`
}

/** A label and its text. */
const labelled = [18, 80]

/**
 * The report for people: plain text of at most 100 columns, with colours where stdout is a terminal that wants them.
 *
 * @param data - The directory in which all of it can be looked at.
 */
export function page(report: Report, data: string): string {
  const { meanwhile, servers, invalid, treasured, broken } = report
  return [
    ...section('What happened meanwhile (UTC)', columns(labelled, meanwhile.map(({ at, what }) => [minute(at), what]))),
    ...servers.flatMap(({ name, status, schedules }) => section(`${name}  ${status === 'ERROR' ? bad(status) : status}`, schedules.flatMap(scheduleLines))),
    ...section('Items that cannot be used', columns(labelled, invalid.flatMap(({ schedule, problem, events }) => [
      [schedule, bad(problem ?? '')], ['', `told by ${count(events, 'event')}: Schedule Invalid`],
    ]))),
    ...section("People's images", columns([26, 58, 16], treasured.map(({ name, why, untouched }) => [name, why, untouched ? good('untouched') : bad('touched')]))),
    ...section('In short', columns(labelled, summary(report))),
    '',
    ...(broken.length === 0 ? [good('  Every promise was kept.')] : [bad('  Broken promises:'), ...broken.map((sentence) => bad(`  - ${sentence}`))]),
    '',
    '  The cloud and the tables are kept as they are now. Look around in them:',
    ...lookedAt.map((command) => `    npx scheduled-images --local ${quoted(data)} ${command}`),
    '  and let the next night come:',
    `    SCHEDULED_IMAGES_DEMO_CLOCK=${nextNight} npx scheduled-images --local ${quoted(data)} run all`,
  ].join('\n')
}

function scheduleLines(report: ScheduleReport): string[] {
  const { schedule, words, retention, lastGood, next, problem, made, kept, deleted, troubles, later, notices } = report
  const images = kept.map(({ name, createdAt, bytes, volumeSnapshots, reason }) => [
    name, minute(createdAt), volumeSnapshots > 0 ? count(volumeSnapshots, 'volume snapshot') : `${((bytes ?? 0) / 2 ** 30).toFixed(1)} GB`, reason,
  ])
  const byReason = [...Map.groupBy(deleted, ({ reason }) => reason)]
  return [
    '',
    ...columns(labelled, [
      [strong(schedule), `${words}; retention ${retention}`],
      ['', `last good ${minute(lastGood?.time)}, next ${minute(next)} UTC`],
      ...troubles.map((trouble) => [trouble.message === problem ? bad('problem now') : warning('failed'), troubleText(trouble)]),
      ...(problem && troubles.every(({ message }) => message !== problem) ? [[bad('problem now'), problem]] : []),
      ...later.map(({ period, attempt, name }) => [good('good'), `${period}, attempt ${attempt}: ${name}`]),
      ...notices.map((notice) => [warning('notice'), notice]),
    ]),
    ...columns([28, 18, 20, 34], [[`kept ${kept.length} of ${made}`, 'made (UTC)', 'size', 'reason'].map(faint), ...images]),
    ...columns(labelled, byReason.map(([reason, images]) => [
      faint(`deleted ${images.length}`), `${reason}: ${images.length > 2 ? '…, ' : ''}${images.slice(-2).map(({ name }) => name).join(', ')}`,
    ])),
  ]
}

function troubleText({ message, periods, attempts, missed }: Trouble): string {
  const [first, ...others] = periods
  const when = others.length > 0 ? `${first} to ${others.at(-1)}` : `${first}, attempt ${attempts.join(', ')}`
  return `${when}${missed > 0 ? `, ${count(missed, 'period')} missed` : ''}: ${message}`
}

function summary({ images, volumeSnapshots, requests, ticks, quietTicks, seconds }: Report): string[][] {
  const total = Object.values(requests).reduce((sum, each) => sum + each, 0)
  return [
    ['images', `${images.made} made, ${images.kept} kept, ${images.deleted} deleted`],
    ['volume snapshots', `${volumeSnapshots.kept} belong to the images kept, ${count(volumeSnapshots.orphans, 'orphan')}`],
    ['OpenStack', `${count(total, 'request')}: ${Object.entries(requests).map(([service, each]) => `${each} ${service}`).join(', ')}`],
    ['ticks', `${ticks} of each function: every 15 minutes from 00:30 to 03:00 UTC, every 3 hours else. ${quietTicks} of them asked nothing of OpenStack`],
    ['time taken', `${seconds.toFixed(1)} seconds`],
  ]
}

function section(title: string, lines: readonly string[]): string[] {
  return ['', styleText(['bold', 'underline'], title), ...lines]
}

const borderless = Object.fromEntries(
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle'.split(' ').map((name) => [name, '']),
)

/** Rows in columns, wrapped at words; each width includes two spaces at the left. */
function columns(colWidths: number[], rows: readonly (readonly (string | null | undefined)[])[]): string[] {
  if (rows.length === 0) return []
  const table = new Table({ chars: borderless, style: { 'padding-left': 2, 'padding-right': 0 }, colWidths, wordWrap: true })
  table.push(...rows.map((row) => [...row]))
  return table.toString().split('\n').map((line) => line.trimEnd())
}

function minute(instant: Date | string | undefined): string {
  return instant === undefined ? 'never' : new Date(instant).toISOString().slice(0, 16).replace('T', ' ')
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
