import type { Command } from 'commander'
import { invalidSentence, type ParsedSchedule, type Schedule } from '../../lib/model/schedule.ts'
import { indexServers, matchServers, selectServer } from '../../lib/planner/selection.ts'
import { allSchedules } from '../../lib/runner/items.ts'
import type { Context } from '../context.ts'
import { keepText, serverText, whenText } from '../schedule-text.ts'
import { lastNames } from '../server.ts'
import { table, timeText } from '../table.ts'

export function registerList(program: Command, context: () => Context): void {
  program
    .command('list')
    .summary('list every schedule, with how it goes')
    .description('Lists every schedule with its last good image, its next run and its problem. Reads the tables alone; --without asks the cloud for its servers.')
    .option('--without', 'list the servers of the cloud that no schedule is for')
    .addHelpText('after', `
Examples:
  scheduled-images list
  scheduled-images list --without`)
    .action((options: { without?: true }) => (options.without ? listWithout(context()) : listSchedules(context())))
}

async function listSchedules(context: Context): Promise<void> {
  const { ports } = context.open()
  const parsed = await allSchedules(ports.schedules)
  const names = await lastNames(parsed, ports.runs)
  context.show(
    parsed.map((item) => json(item, names)),
    () => (parsed.length === 0 ? 'There are no schedules. scheduled-images enable SERVER RETENTION makes one.' : text(parsed, names, context.terminal.columns)),
  )
}

function text(parsed: readonly ParsedSchedule[], names: ReadonlyMap<string, string>, width: number | undefined): string {
  const rows = parsed.map((item) => {
    if (!item.valid) return [item.invalid.key, '-', 'invalid', '-', timeText(item.invalid.state.lastGood?.time), '-']
    const { key, server, enabled, keep, state } = item.schedule
    return [key, names.get(key) ?? serverText(server), whenText(item.schedule), keepText(keep), timeText(state.lastGood?.time), enabled ? timeText(state.next) : 'disabled']
  })
  const problems = parsed.flatMap((item) => {
    const problem = problemOf(item)
    return problem === undefined ? [] : [`${item.valid ? item.schedule.key : item.invalid.key}: ${problem}`]
  })
  return [table(['SCHEDULE', 'SERVER', 'WHEN', 'KEEPS', 'LAST GOOD', 'NEXT'], rows, width), ...(problems.length > 0 ? ['', ...problems] : [])].join('\n')
}

function problemOf(item: ParsedSchedule): string | undefined {
  return item.valid ? item.schedule.state.problem : invalidSentence(item.invalid)
}

function json(item: ParsedSchedule, names: ReadonlyMap<string, string>): Record<string, unknown> {
  if (!item.valid) return { schedule: item.invalid.key, cloud: item.invalid.cloud, valid: false, faults: item.invalid.faults, problem: problemOf(item) }
  const { key, cloud, server, enabled, keep, state } = item.schedule
  const { lastGood, lastRun, next, problem } = state
  return { schedule: key, cloud, valid: true, enabled, server, serverName: names.get(key), when: whenText(item.schedule), keep: { ...keep, within: keep.within?.text }, lastRun, lastGood, next, problem }
}

async function listWithout(context: Context): Promise<void> {
  const { cloud: name } = context.options
  const { ports } = context.open()
  const cloud = await context.enter(ports)
  const [servers, parsed] = await Promise.all([cloud.compute.listServers(), allSchedules(ports.schedules)])
  const index = indexServers(servers)
  const covered = new Set(
    parsed
      .flatMap((item) => (item.valid && item.schedule.enabled && item.schedule.cloud === name && item.schedule.cadence !== 'manual' ? [item.schedule] : []))
      .flatMap((schedule) => idsOf(schedule)),
  )
  function idsOf({ server, maxServers }: Schedule): string[] {
    const found = 'selector' in server ? matchServers(server.selector, maxServers, servers, name) : selectServer(server, index, name)
    return 'code' in found ? [] : [found].flat().map(({ id }) => id)
  }
  const without = servers.filter(({ id }) => !covered.has(id))
  context.show(
    without.map(({ id, name: server, status }) => ({ id, name: server, status })),
    () => (without.length === 0 ? `Each of the ${servers.length} servers has a schedule.` : table(['SERVER', 'NAME', 'STATUS'], without.map(({ id, name: server, status }) => [id, server, status]), context.terminal.columns)),
  )
}
