import { Option, type Command } from 'commander'
import { invalidSentence, timedCadences, type Cadence, type ParsedSchedule } from '../../lib/model/schedule.ts'
import { freshnessOf, type Freshness } from '../../lib/planner/freshness.ts'
import type { Context } from '../context.ts'
import { ExitCode, explain } from '../failure.ts'
import { lastNames } from '../server.ts'
import { ageText, timeText } from '../table.ts'

/** As Nagios numbers them. */
const statuses = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const
type Status = (typeof statuses)[number]

type Verdict = Exclude<Freshness['verdict'], 'manual'>

/** The order is that of the performance data. */
const verdicts = ['fresh', 'new', 'late', 'overdue', 'invalid', 'disabled'] as const satisfies readonly Verdict[]

/** How a sentence about some schedules ends, the worst first. */
const words = {
  overdue: ['is overdue', 'are overdue'],
  invalid: ['is invalid', 'are invalid'],
  troubled: ['has a problem', 'have a problem'],
  fresh: ['is fresh', 'are fresh'],
  late: ['is late and still in time', 'are late and still in time'],
  new: ['is new', 'are new'],
  disabled: ['is disabled', 'are disabled'],
} as const satisfies Readonly<Record<Verdict | 'troubled', readonly [one: string, several: string]>>
const kinds = Object.keys(words) as (keyof typeof words)[]

/** So many schedules are named in the first line. */
const mostNamed = 5

/** A schedule as check sees it; `text` says what is wrong with it, empty when nothing is. */
interface Finding {
  readonly schedule: string
  readonly cloud: string
  /** Of a server that its item gives by UUID, once it has run. */
  readonly serverName: string | undefined
  readonly status: Status
  readonly verdict: Verdict
  readonly text: string
  readonly lastGood: string | undefined
  readonly overdueSince: string | undefined
  readonly missingSince: string | undefined
  readonly problem: string | undefined
}

interface Options {
  readonly cadence?: Cadence
  readonly criticalAfter?: string
}

/** Is every schedule fresh for its own period? As a plugin of Nagios says it. */
export function registerCheck(program: Command, context: () => Context): void {
  program
    .command('check')
    .summary('say whether every schedule is fresh for its own period, as a plugin of Nagios')
    .description('Tells whether each enabled schedule has the good image that it should have by now. Reads the tables, and asks no cloud.')
    .addOption(new Option('--cadence <cadence>', 'only this one').choices(timedCadences))
    .option('--critical-after <time>', 'an overdue schedule is a warning until it has been overdue for so long: 90m, 12h, 2d')
    .addHelpText('after', `
Exit status, as Nagios has it:
  0 OK: no schedule is overdue or invalid, and none tells of a problem
  1 WARNING: one tells of a problem, or has been overdue for less than --critical-after
  2 CRITICAL: one is overdue or invalid
  3 UNKNOWN: the table cannot be read, no schedule is enabled, or wrong usage

Examples:
  scheduled-images check --stage prod
  scheduled-images check --cadence weekly --critical-after 1d`)
    // For Nagios 2 is CRITICAL.
    .exitOverride(({ exitCode }) => {
      throw new ExitCode(exitCode === 0 ? 0 : statuses.indexOf('UNKNOWN'))
    })
    .action((options: Options) => check(options, context()))
}

async function check({ cadence, criticalAfter }: Options, context: Context): Promise<void> {
  const now = context.clock()
  const toleranceMs = criticalAfter === undefined ? 0 : milliseconds(criticalAfter)
  if (toleranceMs === undefined) return end(context, 'UNKNOWN', `--critical-after must be minutes, hours or days such as 90m, 12h or 2d, not "${criticalAfter}".`, [])
  let items: ParsedSchedule[]
  let names: ReadonlyMap<string, string>
  try {
    const { ports } = context.open()
    items = (await Promise.all((cadence ? [cadence] : timedCadences).map((one) => ports.schedules.query(one)))).flat()
    names = await lastNames(items, ports.runs)
  } catch (error) {
    const { label, message } = explain(error)
    return end(context, 'UNKNOWN', `${message} (${label})`, [])
  }
  const findings = items.map((item) => find(item, names, now, toleranceMs)).toSorted((a, b) => statuses.indexOf(b.status) - statuses.indexOf(a.status) || (a.schedule < b.schedule ? -1 : 1))
  if (findings.every(({ verdict }) => verdict === 'disabled')) return end(context, 'UNKNOWN', `no ${cadence ? `${cadence} ` : ''}schedule is enabled, so there is nothing to check`, findings)
  const { status } = findings[0]!
  end(context, status, summary(findings.filter(({ verdict }) => verdict !== 'disabled')), findings)
}

/** Undefined for what is no time. */
function milliseconds(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6})([mhd])$/.exec(text.trim()) ?? []
  return number === undefined ? undefined : Number(number) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 'm' | 'h' | 'd']
}

function find(item: ParsedSchedule, names: ReadonlyMap<string, string>, now: Date, toleranceMs: number): Finding {
  const freshness = freshnessOf(item, now)
  const { key, cloud, state } = item.valid ? item.schedule : item.invalid
  const overdueAt = freshness.verdict === 'overdue' ? freshness.overdueAt : undefined
  const finding = {
    schedule: key,
    cloud,
    serverName: names.get(key),
    verdict: freshness.verdict as Verdict,
    lastGood: state.lastGood?.time,
    overdueSince: overdueAt?.toISOString(),
    missingSince: state.missingSince,
    problem: item.valid ? state.problem : invalidSentence(item.invalid),
  }
  const [status, what] = judge(finding, overdueAt, now, toleranceMs)
  const told = finding.problem ?? (state.missingSince !== undefined ? `Its server has been missing since ${timeText(state.missingSince)}.` : undefined)
  const reason = told ?? 'The schedule tells of no problem; do the functions run?'
  return { ...finding, status, text: status === 'OK' ? '' : `${what}: ${reason}` }
}

function judge({ verdict, lastGood, problem, missingSince }: Pick<Finding, 'verdict' | 'lastGood' | 'problem' | 'missingSince'>, overdueAt: Date | undefined, now: Date, toleranceMs: number): [status: Status, what: string] {
  const madeMs = Date.parse(lastGood ?? '')
  const made = Number.isNaN(madeMs) ? 'no good image yet' : `last good ${timeText(lastGood)}, ${ageText(now.getTime() - madeMs)} ago`
  switch (verdict) {
    case 'disabled':
      return ['OK', '']
    case 'invalid':
      return ['CRITICAL', `invalid, ${made}`]
    case 'overdue':
      return [now.getTime() - overdueAt!.getTime() < toleranceMs ? 'WARNING' : 'CRITICAL', `overdue since ${timeText(overdueAt)}, ${made}`]
    default:
      return [problem === undefined && missingSince === undefined ? 'OK' : 'WARNING', `${verdict}, ${made}`]
  }
}

/** `1 of 12 schedules is overdue: daily/web-1 (…)`, or what the schedules are when all is well; the worst comes first in `findings`. */
function summary(findings: readonly Finding[]): string {
  const wrong = findings.filter((finding) => finding.status !== 'OK')
  const [one] = wrong
  const counted = one ? wrong : findings
  const counts = kinds.map((kind) => ({ kind, count: counted.filter((finding) => kindOf(finding) === kind).length })).filter(({ count }) => count > 0)
  const clauses = counts.map(({ kind, count }, i) => {
    const subject = i > 0 ? '' : one ? ` of ${findings.length} ${noun(findings.length)}` : ` ${noun(count)}`
    return `${count}${subject} ${words[kind][count === 1 ? 0 : 1]}`
  })
  if (!one) return clauses.join(', ')
  const named = wrong.length === 1 ? `${nameOf(one)} (${one.text})` : `${wrong.slice(0, mostNamed).map(nameOf).join(', ')}${wrong.length > mostNamed ? ', …' : ''}`
  return `${clauses.join(', ')}: ${named}`
}

/** What enable makes is named by the server's UUID, which nobody knows by heart. */
function nameOf({ schedule, serverName }: Finding): string {
  return serverName === undefined || schedule.includes(serverName) ? schedule : `${schedule} of ${serverName}`
}

function kindOf({ status, verdict }: Finding): keyof typeof words {
  return status === 'OK' || verdict === 'overdue' || verdict === 'invalid' ? verdict : 'troubled'
}

function noun(count: number): string {
  return count === 1 ? 'schedule' : 'schedules'
}

/** Prints the first line with its performance data, a line for each schedule that is not OK, and ends. */
function end(context: Context, status: Status, text: string, findings: readonly Finding[]): never {
  const counts = Object.fromEntries(verdicts.map((verdict) => [verdict, findings.filter((finding) => finding.verdict === verdict).length]))
  const performance = findings.length === 0 ? '' : ` | ${Object.entries(counts).map(([verdict, count]) => `${verdict}=${count}`).join(' ')}`
  const lines = findings.filter((finding) => finding.status !== 'OK').map((finding) => `${finding.status} ${nameOf(finding)}: ${plain(finding.text)}`)
  context.show(
    { status, summary: text, ...(findings.length > 0 && { counts, schedules: findings.map(({ text: _text, ...finding }) => finding) }) },
    () => [`${status}: ${plain(text)}${performance}`, ...lines].join('\n'),
  )
  throw new ExitCode(statuses.indexOf(status))
}

/** What follows a "|" is performance data for Nagios. */
function plain(text: string): string {
  return text.replaceAll('|', '/').replaceAll(/\s+/g, ' ')
}
