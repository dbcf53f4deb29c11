import { parseArgs } from 'node:util'
import type { Context } from 'aws-lambda'
import { handler as prune } from '../functions/prune.ts'
import { handler as snapshotDaily } from '../functions/snapshot-daily.ts'
import { handler as snapshotWeekly } from '../functions/snapshot-weekly.ts'
import type { Log, LogFields } from '../lib/runner/ports.ts'
import { wired } from '../lib/wiring.ts'
import { clearData, writeData } from './data-directory.ts'
import { introduction, page } from './page.ts'
import { progress } from './progress.ts'
import { report, type Line, type Report } from './report.ts'
import { begin, days, tell, type Story } from './story.ts'
import { startWorld, type World } from './world.ts'

const help = `Usage: npm run demo [-- --json | --verbose] [-- --data DIR]

Runs the real functions for ${days} simulated days, on an OpenStack and a DynamoDB simulated in this
process, and shows what became of five servers. Needs no account and no network.

  --data DIR  where the cloud and the tables are put afterwards, for scheduled-images --local DIR;
              what an earlier demo left there goes (default: demo-data)
  --json      print the facts as one JSON document, and nothing else
  --verbose   print the log lines of the functions as well (with --json: on stderr)
  --help      print this

Exit status: 0 if every promise was kept, 1 if one was broken, 2 for a wrong argument.`

const options = { data: { type: 'string' }, json: { type: 'boolean' }, verbose: { type: 'boolean' }, help: { type: 'boolean' } } as const
const functions = { snapshotDaily, snapshotWeekly, prune }

/** Every 15 minutes in the hours in which schedules start, every three hours else: the rest of a day would be more of the same. */
function ticksOf(day: number): Date[] {
  const hours = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 6, 9, 12, 15, 18, 21]
  return hours.map((hour) => new Date(begin.getTime() + ((day - 1) * 24 + hour) * 3_600_000))
}

async function run({ data, json, verbose }: { data: string; json: boolean; verbose: boolean }): Promise<Report> {
  const started = performance.now()
  const world = await startWorld({ now: begin, seed: 1, snapshotSeconds: { saving: 20, active: 400, idle: 402 } })
  try {
    const lines: Line[] = []
    const print = json ? console.error : console.log
    const write = (level: keyof Log) => (message: string, fields: LogFields = {}) => {
      lines.push({ level, message, fields })
      if (verbose && level !== 'debug') print(logLine({ level: level.toUpperCase(), message, timestamp: world.clock(), service: 'scheduled-images', ...fields }))
    }
    wired({ env: world.env, clock: world.clock, log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }, metrics: { record: () => {} } })
    const story = await tell(world)
    if (!json) console.log(introduction)
    const alive = process.stdout.isTTY && !process.env['CI'] && !verbose
    const lived = await live(world, story, json ? () => {} : progress(alive ? 'line' : 'weeks'))
    const result = await report(world, story, { ...lived, lines, seconds: (performance.now() - started) / 1000 })
    await writeData(data, world)
    return result
  } finally {
    await world.close()
  }
}

/** Calls the functions at each tick of each day, as EventBridge and Lambda do. */
async function live(world: World, { incidents }: Story, show: (day: number, events: World['aws']['events']) => void) {
  const requests: Record<string, number> = {}
  const meanwhile: { at: Date; what: string }[] = []
  let ticks = 0
  let quietTicks = 0
  for (let day = 1; day <= days; day += 1) {
    for (const at of ticksOf(day)) {
      world.setClock(at)
      for (const incident of incidents) if (incident.at.getTime() === at.getTime()) meanwhile.push({ at, what: await incident.happen() })
      const before = world.openstack.requests.length
      for (const [functionName, handler] of Object.entries(functions)) {
        await handler({ time: at.toISOString() }, { functionName, getRemainingTimeInMillis: () => 300_000 } as Context)
      }
      const asked = world.openstack.requests.slice(before)
      for (const { service } of asked) requests[service] = (requests[service] ?? 0) + 1
      if (asked.length === 0) quietTicks += 1
      ticks += 1
    }
    show(day, world.aws.events)
  }
  return { from: begin, to: world.clock(), ticks, quietTicks, requests, meanwhile }
}

/** As Powertools writes it, but by the simulated clock. */
function logLine(line: object): string {
  return JSON.stringify(line, (_, value: unknown) => (value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value))
}

/** @returns undefined for arguments that the demo does not have; that has been said then. */
function readArguments() {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    const [sentence] = (error as Error).message.split('. ')
    console.error(`demo: ${sentence?.replace(/\.$/, '')}. See npm run demo -- --help`)
    return undefined
  }
}

/** Empties the directory. @returns false when it cannot be used; that has been said then. */
function isUsable(data: string): boolean {
  try {
    clearData(data)
    return true
  } catch (error) {
    console.error(`demo: ${(error as Error).message}`)
    return false
  }
}

// A reader that has seen enough, `| head` for one.
process.stdout.on('error', () => process.exit())
const given = readArguments()
if (given === undefined) process.exitCode = 2
else if (given.help) console.log(help)
else {
  const { data = 'demo-data', json = false, verbose = false } = given
  if (isUsable(data)) {
    const result = await run({ data, json, verbose })
    console.log(json ? JSON.stringify(result, null, 2) : page(result, data))
    if (result.broken.length > 0) process.exitCode = 1
  } else process.exitCode = 2
}
