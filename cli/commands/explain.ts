import { InvalidArgumentError, Option, type Command } from 'commander'
import { hasCode, ScheduledImagesError } from '../../lib/model/errors.ts'
import { keepLast, keepSchema, type KeepRules } from '../../lib/model/keep.ts'
import { nearest } from '../../lib/model/nearest.ts'
import { invalidSentence, type ParsedSchedule, type Schedule } from '../../lib/model/schedule.ts'
import { appraise } from '../../lib/planner/appraisal.ts'
import { outlook } from '../../lib/planner/outlook.ts'
import { whatIf } from '../../lib/planner/what-if.ts'
import { takeInventory } from '../../lib/runner/inventory.ts'
import { allSchedules } from '../../lib/runner/items.ts'
import type { Installation } from '../../lib/wiring.ts'
import type { Context } from '../context.ts'
import { keepText, serverText, whenText } from '../schedule-text.ts'
import { findServer, lastNames } from '../server.ts'
import { appraisalJson, appraisalTable } from './images.ts'
import { serverOf } from './next.ts'

interface Options {
  readonly retention?: number
  readonly keep?: KeepRules
}

const toldRuns = 3

export function registerExplain(program: Command, context: () => Context): void {
  program
    .command('explain')
    .summary('say what a schedule does, and what another retention would change')
    .description('Says in words when a schedule runs, what it keeps, and why each of its images is kept or deleted. With --retention or --keep it says what those would change; nothing is changed by asking.')
    .argument('<schedule>', 'such as daily/web-1, or the name or UUID of a server of one')
    .addOption(new Option('--retention <count>', 'what if so many were kept').argParser(retention).conflicts('keep'))
    .option('--keep <rules>', 'what if these rules counted: last=2,daily=7,weekly=4,monthly=12,yearly=2,within=P14D', keepRules)
    .addHelpText('after', `
Examples:
  scheduled-images explain daily/web-1
  scheduled-images explain web-1 --retention 3
  scheduled-images explain web-1 --keep last=2,daily=7,weekly=4`)
    .action((schedule: string, options: Options) => explain(schedule, options, context()))
}

function retention(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new InvalidArgumentError('It must be a whole number from 1 to 65535.')
  return value
}

function keepRules(text: string): KeepRules {
  const pairs = text.split(',').map((rule) => rule.split('=').map((part) => part.trim()))
  const parsed = keepSchema.safeParse(Object.fromEntries(pairs.map(([rule, value]) => [rule, rule === 'within' ? value : Number(value)])))
  if (parsed.success) return parsed.data
  throw new InvalidArgumentError('It must be rules such as last=2,daily=7,weekly=4,within=P14D.')
}

async function explain(given: string, { retention: count, keep }: Options, context: Context): Promise<void> {
  const rules = count === undefined ? keep : keepLast(count)
  const { ports } = context.open()
  const parsed = await allSchedules(ports.schedules)
  const explained = await find(given, parsed, ports, context)
  const names = await lastNames(parsed, ports.runs)
  const all = await Promise.all(explained.map(async (item) => {
    if (!item.valid) throw new ScheduledImagesError('SCHEDULE_INVALID', `Schedule ${item.invalid.key} is invalid, so it does nothing, and its images are kept: ${invalidSentence(item.invalid)}`)
    return explainOne(item.schedule, names.get(item.schedule.key), rules, parsed, ports, context)
  }))
  context.show(all.length === 1 ? all[0]!.json : all.map(({ json }) => json), () => all.map(({ text }) => text).join('\n\n'))
}

async function explainOne(schedule: Schedule, serverName: string | undefined, rules: KeepRules | undefined, parsed: readonly ParsedSchedule[], ports: Installation['ports'], context: Context): Promise<{ json: unknown; text: string }> {
  const now = context.clock()
  const { key, keep, state, enabled, cloud: name } = schedule
  const runs = schedule.cadence === 'manual' || !enabled ? [] : outlook(schedule, serverOf(schedule), now, toldRuns)
  const cloud = await context.enter(ports, name)
  const inventory = await takeInventory(name, cloud, serverOf(schedule), parsed)
  const appraisals = appraise(inventory.evidence, []).filter((one) => one.schedule === key || schedule.adopts.includes(one.schedule))
  const change = rules && whatIf(inventory.evidence, key, rules)
  const lines = [
    `${key}: ${serverName ?? serverText(schedule.server)} of cloud ${name}, ${whenText(schedule)}; of its good images ${keepText(keep)} ${enabled ? 'are kept' : 'would be kept, but it is disabled: it makes none and deletes none'}.`,
    ...runs.map(({ local, period, clockChange }) => `Next: ${local}, as period ${period}${clockChange ? ` (${clockChange})` : ''}`),
    ...(state.problem === undefined ? [] : [`Problem: ${state.problem}`]),
    appraisals.length === 0 ? 'It has no images.' : `\n${appraisalTable(appraisals, inventory, context)}`,
    ...(change
      ? [
        '',
        `If ${keepText(rules!)} were kept:`,
        ...change.doomed.map(({ image, reason }) => `  ${image.name} (${image.id}) would be deleted: ${reason}`),
        ...change.spared.map((image) => `  ${image.name} (${image.id}) would stay`),
        ...(change.doomed.length + change.spared.length === 0 ? ['  nothing would change'] : []),
      ]
      : []),
  ]
  const json = {
    schedule: key, cloud: name, enabled, server: schedule.server, serverName, when: whenText(schedule), keep: keepText(keep), next: runs, problem: state.problem,
    images: appraisals.map((one) => appraisalJson(one, inventory)),
    ...(change && { ifKept: { rules: keepText(rules!), deletes: change.doomed.map(({ image, reason }) => ({ id: image.id, name: image.name, reason })), keeps: change.spared.map(({ id, name: image }) => ({ id, name: image })) } }),
  }
  return { json, text: lines.join('\n') }
}

/** A schedule by its key or its bare name, or every schedule of a server. The cloud is asked only for a server's name that no item has. */
async function find(given: string, parsed: readonly ParsedSchedule[], ports: Installation['ports'], context: Context): Promise<ParsedSchedule[]> {
  const keyOf = (item: ParsedSchedule) => (item.valid ? item.schedule.key : item.invalid.key)
  const of = (server: string) => parsed.filter((item) => item.valid && (serverText(item.schedule.server) === server || item.schedule.state.lastRun?.server === server))
  const exact = parsed.filter((item) => keyOf(item) === given)
  if (exact.length > 0) return exact
  const named = [...new Set([...parsed.filter((item) => keyOf(item).slice(keyOf(item).indexOf('/') + 1) === given), ...of(given)])]
  if (named.length > 0) return named
  const missing = (what: string) => {
    const meant = nearest(given, parsed.map(keyOf))
    return new ScheduledImagesError('SCHEDULE_NOT_FOUND', `${what}.${meant ? ` Did you mean "${meant}"?` : ' scheduled-images list shows what there is.'}`)
  }
  if (given.includes('/')) throw missing(`There is no schedule "${given}"`)
  const server = await findServer(given, await context.enter(ports)).catch((error: unknown) => {
    throw hasCode(error, 'SERVER_NOT_FOUND') ? missing(`There is neither a schedule nor a server named "${given}"`) : error
  })
  const theirs = of(server.id)
  if (theirs.length === 0) throw missing(`Server "${server.name}" has no schedule`)
  return theirs
}
