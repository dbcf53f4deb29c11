import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Context } from 'aws-lambda'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Consumer } from '../demo/aws/queue.ts'
import { startWorld, type World } from '../demo/world.ts'
import type { Json } from './contract/harness.ts'
import { AwsCalls, type AwsCall } from './support/aws-calls.ts'
import { leaksIn, watchLog } from './support/secrecy.ts'

/**
 * The roles of serverless.yml and the calls that the functions make. Each function runs as on Lambda, with modules and
 * clients of its own, through two days in which each of its paths to AWS is taken.
 */

interface Configuration {
  readonly functions: Readonly<Record<string, { readonly handler: string; readonly role: { readonly 'Fn::Sub': string } }>>
  readonly provider: { readonly environment: Json }
  readonly resources: { readonly Resources: Readonly<Record<string, Json>> }
}

interface Permission {
  readonly action: string
  readonly resource: string
}

/** What Lambda itself does in a function's name: it writes its log, keeps what an invocation could not do, and takes messages from a queue. */
const lambdaItself = /^(logs:(CreateLogStream|PutLogEvents) LogGroup|sqs:SendMessage .*:scheduled-images-dev-timer-dead-letters|sqs:(ReceiveMessage|DeleteMessage|GetQueueAttributes) .*:scheduled-images-dev-shards)$/

const cadenceOf = { snapshotDaily: 'daily', snapshotWeekly: 'weekly', snapshotMonthly: 'monthly', snapshotYearly: 'yearly', snapshotCustom: 'custom' } as const
/** All of them are due on the first Sunday of November at 01:00. */
const whenOf = { daily: {}, weekly: { dayOfWeek: 'sunday' }, monthly: { dayOfMonth: 1 }, yearly: { month: 11, dayOfMonth: 1 }, custom: { cron: '0 1 * * *' } }

const imageQuota = 40

let configuration: Configuration
let world: World
const seen: Record<string, Set<string>> = {}

const root = join(import.meta.dirname, '..')

beforeAll(async () => {
  // They would be printed.
  vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'true')
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'node_modules/serverless/bin/serverless.js'), 'print', '--format', 'json'], { cwd: root, env: { ...process.env, AWS_ACCESS_KEY_ID: '', AWS_PROFILE: '' } })
  configuration = JSON.parse(stdout) as Configuration
  world = await startWorld({ now: '2026-11-01T00:00:00Z', quotas: { imageQuota } })
  watchLog(world, lines)
  await playTwoDays()
  expect(await leaksIn(world)).toEqual([])
}, 120_000)
afterAll(() => {
  vi.unstubAllEnvs()
  return world?.close()
})

const lines: unknown[] = []
const log = (...line: unknown[]) => void lines.push(line)

type Handler = (event: object, context: Context) => Promise<unknown>

const instances = new Map<string, (event: object) => Promise<unknown>>()

/**
 * One function, by a cold start or warm. Each is in a process of its own on Lambda, so here it has modules of its own. What they
 * import on demand has to come with the first event, before the next cold start.
 */
async function start(name: string, shardServers = 200): Promise<(event: object) => Promise<unknown>> {
  const warm = instances.get(`${name} ${shardServers}`)
  if (warm) return warm
  const calls = (seen[name] ??= new Set())
  vi.resetModules()
  const { wired } = await import('../lib/wiring.ts')
  const pass = (ms: number) => {
    world.setClock(new Date(world.clock().getTime() + ms))
    return Promise.resolve()
  }
  wired({
    env: { ...world.env, SHARD_QUEUE_URL: world.aws.queue.url }, clock: world.clock, sleep: pass, log: { debug: log, info: log, warn: log, error: log }, shardServers,
    agent: new AwsCalls((call) => calls.add(textOf(deployed(call)))),
  })
  const file = join(root, configuration.functions[name]!.handler.replace(/\.handler$/, '.ts'))
  const { handler } = (await import(file)) as { handler: Handler }
  // Timers fire twice now and then, and messages come twice.
  const handle = async (event: object) => (await Promise.all([1, 2].map(() => handler(event, { functionName: name, getRemainingTimeInMillis: () => 300_000 } as Context))))[0]
  instances.set(`${name} ${shardServers}`, handle)
  return handle
}

async function invoke(name: string, ...ticks: readonly string[]): Promise<void> {
  const handle = await start(name)
  for (const time of ticks) {
    world.setClock(time)
    await handle({ time })
  }
}

/** Invokes a function whose plan is too large for one shard, and then `shard` with all that it handed over. */
async function invokeInShards(name: string, time: string): Promise<void> {
  world.setClock(time)
  await (await start(name, 1))({ time })
  const handle = await start('shard', 1)
  await world.aws.queue.deliver(handle as Consumer)
}

/**
 * Each cadence has a server that is stopped for its image, one whose image is shared, a server that is not there and a schedule that
 * is invalid. The images of `daily` fail on the first day; on the second, one of `custom` is beyond retention. What is due at 03:00 is too much for one shard.
 */
async function playTwoDays(): Promise<void> {
  const { openstack, project, aws } = world
  const entry = `${world.env['CLOUDS_PATH']}default`
  aws.parameters.set(entry, JSON.stringify({ ...(JSON.parse(aws.parameters.get(entry)!) as object), max_in_flight: 20 }))
  for (const cadence of Object.values(cadenceOf)) {
    const item = { cadence, retention: 1, spread: 0, ...whenOf[cadence] }
    const add = (name: string) => openstack.addServer(project, { name: `${cadence}-${name}`, host: `${cadence}-${name}`, volumeBacked: true }).id
    await world.putSchedule({ ...item, onEnable: 'now', schedule: 'web', server: add('web'), consistency: 'stopped' })
    await world.putSchedule({ ...item, onEnable: 'now', schedule: 'db', server: add('db'), shareWith: ['0123456789abcdef0123456789abcdef'] })
    for (const name of ['late-1', 'late-2']) await world.putSchedule({ ...item, schedule: name, server: add(name), consistency: 'stopped', ...(cadence === 'custom' ? { cron: '0 3 * * *' } : { at: '03:00' }) })
    await world.putSchedule({ ...item, onEnable: 'now', schedule: 'gone', server: 'nobody' })
    await world.putSchedule({ ...item, schedule: 'typo', server: 'web', color: 'red' })
  }
  const byHand = Array.from({ length: imageQuota }, (_, n) => openstack.addImage(project, { name: `by-hand-${n}` }))
  await invoke('snapshotDaily', '2026-11-01T01:00:00Z')
  for (const { id } of byHand) openstack.remove(id)
  for (const name of Object.keys(cadenceOf).slice(1)) await invoke(name, '2026-11-01T01:00:00Z')
  await invoke('prune', '2026-11-01T01:15:00Z', '2026-11-01T01:30:00Z', '2026-11-01T01:45:00Z')
  for (const name of Object.keys(cadenceOf)) await invokeInShards(name, '2026-11-01T03:00:00Z')
  await invokeInShards('prune', '2026-11-01T03:15:00Z')
  await invoke('snapshotCustom', '2026-11-02T01:00:00Z')
  await invoke('prune', '2026-11-02T01:15:00Z', '2026-11-02T01:30:00Z')
  await invoke('snapshotCustom', '2026-11-02T03:00:00Z')
  await invokeInShards('prune', '2026-11-02T03:15:00Z')
  await invokeInShards('prune', '2026-11-02T03:30:00Z')
}

/** The roles' permissions of a function, one for each action and resource. */
function permissionsOf(name: string): Permission[] {
  const [, role] = /^\$\{(\w+)\.Arn\}$/.exec(configuration.functions[name]!.role['Fn::Sub'])!
  const statements = configuration.resources.Resources[role!]!['Properties'].Policies.flatMap(({ PolicyDocument }: Json) => PolicyDocument.Statement) as Json[]
  return statements.flatMap(({ Action, Resource }) => [Action].flat().flatMap((action: string) => [Resource].flat().map((resource) => ({ action, resource: arnOf(resource) }))))
}

const account = { 'AWS::Partition': 'aws', 'AWS::Region': 'eu-central-1', 'AWS::AccountId': '123456789012' }

/** The ARN that a part of the template stands for. */
function arnOf(value: Json): string {
  if (value['Fn::Sub']) return (value['Fn::Sub'] as string).replaceAll(/\$\{(AWS::\w+)\}/g, (_, name: keyof typeof account) => account[name])
  const [id, attribute] = value['Fn::GetAtt'] as [string, string]
  // osls makes a log group for each function; that a role names its own is checked where it is deployed.
  if (id.endsWith('LogGroup')) return 'LogGroup'
  const { Type, Properties } = configuration.resources.Resources[id]!
  expect(attribute).toBe('Arn')
  if (Type === 'AWS::Events::EventBus') return `arn:aws:events:eu-central-1:123456789012:event-bus/${Properties.Name}`
  if (Type === 'AWS::SQS::Queue') return `arn:aws:sqs:eu-central-1:123456789012:${Properties.QueueName}`
  throw new Error(`The ARN of ${id}, a ${Type}, is not known to this test.`)
}

/** A call of this world, as it would be where the functions are deployed with their environment of serverless.yml. */
function deployed({ action, resource }: AwsCall): Permission {
  const { environment } = configuration.provider
  const busId = environment['EVENT_BUS']['Fn::GetAtt'][0] as string
  const [service] = action.split(':')
  if (service === 'events') {
    expect(resource).toBe(world.env['EVENT_BUS'])
    return { action, resource: arnOf({ 'Fn::GetAtt': [busId, 'Arn'] }) }
  }
  if (service === 'ssm') {
    expect(resource).toContain(world.env['CLOUDS_PATH'])
    return { action, resource: `arn:aws:ssm:eu-central-1:123456789012:parameter${resource.replace(world.env['CLOUDS_PATH']!, environment['CLOUDS_PATH'] as string)}` }
  }
  if (service === 'sqs') {
    expect(resource).toBe(world.aws.queue.url)
    return { action, resource: arnOf({ 'Fn::GetAtt': [environment['SHARD_QUEUE_URL'].Ref, 'Arn'] }) }
  }
  const [table, ...index] = resource.split('/')
  const variable = ['SCHEDULES_TABLE', 'RUNS_TABLE'].find((name) => world.env[name] === table)!
  return { action, resource: `arn:aws:dynamodb:eu-central-1:123456789012:table/${[environment[variable], ...index].join('/')}` }
}

function textOf({ action, resource }: Permission): string {
  return `${action} ${resource}`
}

function allows(permission: Permission, call: string): boolean {
  const text = textOf(permission)
  return text.endsWith('*') ? call.startsWith(text.slice(0, -1)) : call === text
}

test('in two days images failed, became good and were deleted', () => {
  expect(new Set(world.aws.events.map(({ type }) => type))).toEqual(new Set(['Scheduled Image Started', 'Scheduled Image Good', 'Scheduled Image Failed', 'Scheduled Images Pruned', 'Schedule Invalid']))
})

describe.each([...Object.keys(cadenceOf), 'prune', 'shard'])('the role of %s', (name) => {
  test('allows every call that the function makes', () => {
    const permissions = permissionsOf(name)
    expect([...seen[name]!].filter((call) => !permissions.some((permission) => allows(permission, call)))).toEqual([])
  })

  test('allows nothing that the function does not use', () => {
    const used = (permission: Permission) => lambdaItself.test(textOf(permission)) || [...seen[name]!].some((call) => allows(permission, call))
    expect(permissionsOf(name).filter((permission) => !used(permission)).map(textOf)).toEqual([])
  })
})

test('no function is left out', () => {
  expect([...Object.keys(cadenceOf), 'prune', 'shard'].toSorted()).toEqual(Object.keys(configuration.functions).toSorted())
})
