/**
 * Compares plans that are carried out where they were made with plans that are handed over to shards: 5,000 servers in 10
 * clouds on the simulator, each way in a process of its own, for two days of one schedule that keeps one image.
 *
 *     npm run bench:scale, or node bench/scale.ts --servers 500 --clouds 2
 *
 * The simulator answers at once and shares the processor with the functions, so times tell of the work and not of waiting.
 * An invocation is one of a timer or one of a shard; of shards five are carried out at the same time.
 */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { Agent } from 'node:http'
import { parseArgs } from 'node:util'
import type { Context } from 'aws-lambda'
import pLimit from 'p-limit'
import { startWorld, type World } from '../demo/world.ts'
import { consumer } from '../functions/consumer.ts'
import { wire, type Service } from '../lib/wiring.ts'

const atOnce = 5

interface Measure {
  readonly good: number
  readonly images: number
  readonly mostInFlight: number
  readonly openstack: number
  readonly tokens: number
  readonly listings: number
  readonly dynamodb: number
  readonly sqsCalls: number
  readonly messages: number
  readonly invocations: number
  /** Of OpenStack and DynamoDB together, in one invocation. */
  readonly mostRequests: number
  readonly errors: number
  readonly totalMs: number
  readonly peakMb: number
}

const { values } = parseArgs({ options: { servers: { type: 'string', default: '5000' }, clouds: { type: 'string', default: '10' }, measure: { type: 'string' } } })
const servers = Number(values.servers)
const clouds = Number(values.clouds)

function compare(): void {
  console.log(`${servers} servers in ${clouds} clouds, two days, Node ${process.versions.node}`)
  const [inline, sharded] = ['inline', 'sharded'].map((way) => {
    const given = [import.meta.filename, '--servers', values.servers, '--clouds', values.clouds, '--measure', way]
    return JSON.parse(execFileSync(process.execPath, given, { encoding: 'utf8', timeout: 1_800_000 })) as Measure
  }) as [Measure, Measure]
  const row = (name: string, of: (measure: Measure) => number, digits = 0) => {
    const [a, b] = [of(inline), of(sharded)]
    console.log(`${name.padEnd(38)} inline ${a.toFixed(digits).padStart(9)}   sharded ${b.toFixed(digits).padStart(9)}   ${a === 0 ? '' : `x ${(b / a).toFixed(2)}`}`)
  }
  const runs = servers * 2
  row('good runs', ({ good }) => good)
  row('images left', ({ images }) => images)
  row('images being made in a cloud, at most', ({ mostInFlight }) => mostInFlight)
  row('OpenStack requests a run', ({ openstack }) => openstack / runs, 2)
  row('  of them tokens, in all', ({ tokens }) => tokens)
  row('  of them pages of listings, in all', ({ listings }) => listings)
  row('DynamoDB requests a run', ({ dynamodb }) => dynamodb / runs, 2)
  row('SQS calls, in all', ({ sqsCalls }) => sqsCalls)
  row('messages, in all', ({ messages }) => messages)
  row('invocations that asked OpenStack', ({ invocations }) => invocations)
  row('requests of one invocation, at most', ({ mostRequests }) => mostRequests)
  row('errors in the log', ({ errors }) => errors)
  row('all of it, seconds', ({ totalMs }) => totalMs / 1000, 1)
  row('peak of memory with the simulator, MB', ({ peakMb }) => peakMb)
}

async function measure(isSharded: boolean): Promise<Measure> {
  const world = await startWorld({ now: '2026-11-01T00:00:00Z', seed: 7, snapshotSeconds: { saving: 1, active: 2, idle: 3 } })
  await populate(world)
  const silent = () => {}
  const counted = { messages: 0, invocations: 0, mostRequests: 0, mostInFlight: 0, errors: 0, dynamodb: 0 }
  const log = { debug: silent, info: silent, warn: silent, error: () => void (counted.errors += 1) }
  const build = () => {
    const agent = new CountingAgent({ keepAlive: true })
    return { agent, service: buildWith(agent) }
  }
  const buildWith = (agent: Agent): Service => wire({
    env: { ...world.env, MAX_DELETES: String(servers), LOG_LEVEL: 'ERROR', ...(isSharded && { SHARD_QUEUE_URL: world.aws.queue.url }) },
    clock: world.clock, newId: randomUUID, sleep: () => Promise.resolve(), agent, log, metrics: { record: silent },
  })
  const count = async <Result>({ agent, service }: ReturnType<typeof build>, invoke: (service: Service) => Promise<Result>): Promise<Result> => {
    const before = agent.openstack + agent.dynamodb
    const asked = agent.openstack
    const result = await invoke(service)
    counted.mostRequests = Math.max(counted.mostRequests, agent.openstack + agent.dynamodb - before)
    if (agent.openstack > asked) counted.invocations += 1
    return result
  }
  const timers = build()
  const shards = Array.from({ length: atOnce }, build)
  const carryOut = async () => {
    counted.messages += world.aws.queue.messages.length
    const idle = [...shards]
    await world.aws.queue.deliver(async (event) => {
      const shard = idle.pop()!
      const context = { functionName: 'shard', getRemainingTimeInMillis: () => 900_000 } as Context
      return count(shard, (service) => consumer(() => service)(event, context)).finally(() => idle.push(shard))
    }, atOnce)
  }
  const tick = (at: string) => {
    world.setClock(at)
    return { now: new Date(at), timeLeftMs: () => 900_000 }
  }
  const began = performance.now()
  await timers.service.snapshot('daily', tick('2026-11-01T00:30:00Z'))
  await timers.service.prune(tick('2026-11-01T00:30:00Z'))
  for (const date of ['2026-11-01', '2026-11-02']) {
    await count(timers, (service) => service.snapshot('daily', tick(`${date}T01:00:00Z`)))
    await carryOut()
    const inFlight = Map.groupBy((await world.runs()).filter(({ status }) => status === 'saving'), ({ cloud }) => cloud)
    counted.mostInFlight = Math.max(counted.mostInFlight, ...[...inFlight.values()].map(({ length }) => length))
    for (const time of ['01:15:00', '01:30:00']) {
      await count(timers, (service) => service.prune(tick(`${date}T${time}Z`)))
      await carryOut()
    }
  }
  const totalMs = performance.now() - began
  const { requests } = world.openstack
  return {
    ...counted,
    totalMs,
    good: (await world.runs()).filter(({ status }) => status === 'good').length,
    images: world.openstack.images().filter(({ properties }) => properties['scheduled_images__image'] !== undefined).length,
    openstack: requests.length,
    tokens: requests.filter(({ service }) => service === 'identity').length,
    listings: requests.filter(({ method, path }) => method === 'GET' && /\/(servers\/detail|images)(\?|$)/.test(path)).length,
    dynamodb: [timers, ...shards].reduce((sum, { agent }) => sum + agent.dynamodb, 0),
    sqsCalls: world.aws.queue.calls,
    peakMb: process.resourceUsage().maxRSS / 1024,
  }
}

/** Servers on hosts of their own, spread evenly over the clouds, each with a schedule. */
async function populate(world: World): Promise<void> {
  const { openstack, aws } = world
  const projects = Array.from({ length: clouds }, (_, n) => {
    const name = `cloud-${n}`
    const project = openstack.addProject(name)
    const user = openstack.addUser(`user-of-${name}`, `password-of-${name}`, { [name]: 'member' })
    const { id, secret } = openstack.addApplicationCredential(user, project, { secret: `secret-of-${name}` })
    const auth = { auth_url: openstack.authUrl, application_credential_id: id, application_credential_secret: secret }
    aws.parameters.set(`/scheduled-images/local/clouds/${name}`, JSON.stringify({ auth_type: 'v3applicationcredential', auth, region_name: 'RegionOne', max_in_flight: Math.min(1000, Math.ceil(servers / clouds)) }))
    return { name, project }
  })
  const limit = pLimit(20)
  await Promise.all(Array.from({ length: servers }, (_, n) => limit(async () => {
    const { name, project } = projects[n % clouds]!
    const server = openstack.addServer(project, { name: `server-${n}`, host: `host-${n}` })
    await world.putSchedule({ cadence: 'daily', schedule: `server-${n}`, cloud: name, server: server.id, retention: 1, spread: 0 })
  })))
}

/** Counts requests as they leave. */
class CountingAgent extends Agent {
  dynamodb = 0
  openstack = 0

  addRequest(request: { getHeader(name: string): unknown }, options: unknown): void {
    const target = request.getHeader('x-amz-target')
    if (target === undefined) this.openstack += 1
    else if (String(target).startsWith('DynamoDB')) this.dynamodb += 1
    ;(Agent.prototype as unknown as { addRequest(request: unknown, options: unknown): void }).addRequest.call(this, request, options)
  }
}

if (values.measure === undefined) compare()
else {
  process.stdout.write(JSON.stringify(await measure(values.measure === 'sharded')))
  process.exit()
}
