/**
 * Kills the packaged functions at random moments, while OpenStack's daemons come and go, and then proves that nothing was
 * lost, made twice or left behind: `npm run test:kill -- --kills 200 --seed 7`. CONTRIBUTING.md says how to run it.
 */
import { existsSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { startAws } from '../../demo/aws/services.ts'
import { marks } from '../../lib/model/image.ts'
import { makePackages } from '../contract/artefact.ts'
import { openCloud } from '../contract/harness.ts'
import { Chance } from './chance.ts'
import { Estate } from './estate.ts'
import { Functions } from './invocation.ts'
import { retention, runsOf } from './law.ts'
import { Ledger } from './ledger.ts'
import { daemons, Daemons } from './outage.ts'
import { Storm } from './storm.ts'

const labScript = join(import.meta.dirname, '../../../shared/lab/svc.sh')
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
    services: { type: 'string', default: process.env['OS_TEST_SERVICES'] ?? (existsSync(labScript) ? labScript : '') },
    keep: { type: 'boolean', default: false },
  },
})
const kills = Number(values.kills)
const seed = Number(values.seed)
/** The storm's days lie in the past, so that it can have as many as it needs: a function refuses a tick of the future. */
const firstDay = new Date(Math.floor(Date.now() / 86_400_000 - 400) * 86_400_000 + 3_600_000)

const begun = performance.now()
const say = (line: string): void => {
  process.stdout.write(`${String(Math.round((performance.now() - begun) / 1000)).padStart(5)} s  ${line}\n`)
}
const log = join(tmpdir(), `kill-${seed}.log`)
rmSync(log, { force: true })

say(`seed ${seed}; what the functions print is in ${log}`)
const aws = await startAws()
Object.assign(process.env, aws.env)
await makePackages()
const ledger = await Ledger.create()
const { cloud, close } = await openCloud()
aws.parameters.set('/clouds/default', JSON.stringify(cloud.entry()))
const estate = new Estate(cloud)
const all = cloud.real && values.services ? new Daemons(values.services) : undefined
const functions = new Functions({
  ...aws.env, SCHEDULES_TABLE: ledger.names.schedules, RUNS_TABLE: ledger.names.runs, CLOUDS_PATH: '/clouds/', EVENT_BUS: 'bus', LOG_LEVEL: 'DEBUG',
})
const storm = new Storm({ cloud, aws, estate, ledger, functions, daemons: all, chance: new Chance(seed), log, say }, firstDay)
const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())

let broken: string[]
try {
  broken = await run()
} catch (error) {
  broken = (error instanceof Error ? error.message : String(error)).split('\n')
}
if (broken.length > 0) await dump()
if (!values.keep) {
  if (all) for (const daemon of daemons) await all.start(daemon)
  await close()
}
rmSync(functions.directory, { recursive: true })
await aws.close()
await report()
process.exitCode = broken.length === 0 ? 0 : 1

/** @returns a sentence for each violation. */
async function run(): Promise<string[]> {
  await estate.build()
  for (const { id, label } of estate.servers) {
    // The harness cleans up what has its prefix, which the server's name begins with.
    const imageName = '{server}-{cadence}-{time}'
    await ledger.putSchedule({ cadence: 'daily', schedule: label, server: id, retention, spread: 0, onEnable: 'now', imageName })
  }
  say(`${estate.servers.length} servers are there`)
  await day(false)
  for (const label of ['plain', 'volumes']) {
    const { images } = await storm.seen()
    const server = estate.servers.find((each) => each.label === label)!
    await estate.restoreAndSnapshot(images.find((image) => image[marks.seal] === image['id'] && image[marks.server] === server.id)!['id'], label)
  }
  while (storm.killed < kills && !interrupted.signal.aborted) await day(true)
  // What was begun on the last wild day is looked after once more on the next one.
  await day(false)
  await day(false)
  return storm.comeToRest()
}

async function day(wild: boolean): Promise<void> {
  await storm.day(wild)
  say(`${storm.periods.at(-1)} ended well: ${storm.killed} of ${kills} kills, ${sum(storm.outages)} outages, ${storm.invocations} invocations`)
}

async function dump(): Promise<void> {
  const seen = await storm.seen().catch((error: unknown) => ({ error: String(error) }))
  if ('error' in seen) return say(seen.error)
  for (const server of estate.servers) {
    say(`${server.label} ${server.id}, volumes ${JSON.stringify(server.volumes)}`)
    for (const run of runsOf(server, seen).slice(-retention - 2)) say(`  run ${JSON.stringify(run)}`)
  }
  for (const image of seen.images) {
    const whose = [marks.schedule, marks.server, marks.period, marks.run].map((mark) => image[mark]).join(' ')
    say(`image ${image['id']} ${image['name']} ${image['status']} ${image['created_at']} ${whose} ${image[marks.seal] === image['id'] ? 'sealed' : 'unsealed'} ${image['block_device_mapping'] ?? ''}`)
  }
  for (const { id, name, status, volume_id, created_at } of seen.snapshots) say(`volume snapshot ${id} ${name} ${status} ${volume_id} ${created_at}`)
  for (const record of seen.records) if (record['inFlight'] !== undefined) say(`in flight ${JSON.stringify(record)}`)
  for (const { schedule, state } of seen.schedules) say(`state of ${schedule} ${JSON.stringify(state)}`)
}

function report(): void {
  const table = new Table({ head: ['', ''], style: { head: [], border: [] } })
  table.push(
    ['seed', seed],
    ['days', storm.periods.length],
    ['invocations', storm.invocations],
    ...Object.entries(storm.kills).map(([name, count]) => [`kill -9 of ${name}`, count]),
    ...Object.entries(storm.outages).map(([name, count]) => [`${name} stopped and started`, count]),
    ['helped by an operator', storm.helped],
    ['good images made', storm.periods.length * estate.servers.length],
    ['seconds', Math.round((performance.now() - begun) / 1000)],
    ['violations', broken.length],
  )
  process.stdout.write(`${table.toString()}\n`)
  for (const sentence of broken) process.stdout.write(`BROKEN: ${sentence}\n`)
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
