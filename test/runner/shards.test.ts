import { expect, test } from 'vitest'
import type { Consumer } from '../../demo/aws/queue.ts'
import type { PruneShard, SnapshotShard } from '../../lib/model/shard.ts'
import { Interposer } from '../reliability/interposer.ts'
import { useWorld } from '../support/fixture.ts'
import { day, imagesOf, scheduled, stateOf } from '../support/scene.ts'
import type { TestService } from '../support/service.ts'
import { wire } from '../../lib/wiring.ts'
import { shardFunction, shardingIn, tickInShards } from '../support/shards.ts'

// Of twelve servers of this seed there are four in each of three slices.
const fixture = useWorld({ snapshotSeconds: { saving: 1, active: 2, idle: 3 }, seed: 18 })

/** Lets so many images be made at once. */
function allow(max: number): void {
  const { world } = fixture
  const [[name, text]] = [...world.aws.parameters] as [[string, string]]
  world.aws.parameters.set(name, JSON.stringify({ ...(JSON.parse(text) as object), max_in_flight: max, max_in_flight_per_host: max }))
}

/** Servers with a daily schedule each, of which so many may be made images of at once, and the sharding service. */
async function daily(count: number, max: number, item: Record<string, unknown> = {}): Promise<{ service: TestService; servers: string[] }> {
  const { world } = fixture
  allow(max)
  const servers: string[] = []
  for (let n = 1; n <= count; n += 1) servers.push((await scheduled(world, `web-${n}`, {}, { retention: 2, ...item })).id)
  const service = shardingIn(world)
  await service.tickAt(day(1, '00:30:00'))
  return { service, servers }
}

const imagesPerServer = (servers: readonly string[]) => servers.map((id) => imagesOf(fixture.world, id).length)
const queued = <Shard = SnapshotShard>() => fixture.world.aws.queue.messages.map(({ body }) => JSON.parse(body) as Shard)
const deliver = (consumer: Consumer, atOnce?: number) => fixture.world.aws.queue.deliver(consumer, atOnce)

/** A process that dies at one of its calls, whose number of those of that name is given. */
function dyingAt(name: RegExp, call: number): Consumer {
  let calls = 0
  let dead = false
  let die = () => {}
  const death = new Promise<never>((_resolve, reject) => {
    die = () => reject(new Error('The process has died.'))
  })
  const never = new Promise<never>(() => {})
  const agent = new Interposer({
    before: (request) => {
      if (dead) return never
      if (!name.test(request.name) || (calls += 1) !== call) return Promise.resolve('send')
      dead = true
      die()
      return never
    },
    after: () => (dead ? never : Promise.resolve('deliver')),
  })
  const consumer = shardFunction(shardingIn(fixture.world, { agent }))
  return (event) => Promise.race([consumer(event), death])
}

test('what fits one shard is done by the timer, and nothing is sent', async () => {
  const { service, servers } = await daily(5, 20)
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 5, sharded: 0 })
  expect(await service.pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 5, sharded: 0 })
  expect(imagesPerServer(servers)).toEqual([1, 1, 1, 1, 1])
  expect(fixture.world.aws.queue.calls).toBe(0)
})

test('a larger plan is cut and sent in one call, as small messages that name what to start and the time of the tick', async () => {
  const { service, servers } = await daily(12, 20)
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ schedules: 12, started: 0, sharded: 3, faults: 0 })
  expect(fixture.world.aws.queue.calls).toBe(1)
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 0))
  const shards = queued()
  expect(shards.map(({ shard, of, starts }) => [shard, of, starts.length])).toEqual([[1, 3, 5], [2, 3, 5], [3, 3, 2]])
  expect(shards.map(({ version, kind, cloud, cadence, now }) => ({ version, kind, cloud, cadence, now }))).toEqual(
    shards.map(() => ({ version: 1, kind: 'snapshot', cloud: 'default', cadence: 'daily', now: '2026-11-01T01:00:00.000Z' })),
  )
  expect(shards.flatMap(({ starts }) => starts.flatMap((start) => start.servers)).toSorted()).toEqual(servers.toSorted())
  expect(service.lines.filter(({ message }) => message.startsWith('handed over')).map(({ message, servers: count }) => [message, count])).toEqual([
    ['handed over: shard 1 of 3 of the images to start of cloud "default"', 5],
    ['handed over: shard 2 of 3 of the images to start of cloud "default"', 5],
    ['handed over: shard 3 of 3 of the images to start of cloud "default"', 2],
  ])

  const since = fixture.world.openstack.requests.length
  expect(await deliver(shardFunction(service), 2)).toBe(3)
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
  // One service, so one token; a listing for each shard.
  expect(Object.fromEntries([...Map.groupBy(fixture.world.openstack.requests.slice(since), ({ method }) => method)].map(([method, requests]) => [method, requests.length]))).toEqual({ GET: 3, POST: 12 })
  expect(service.lines.filter(({ message }) => message.startsWith('summary')).map(({ message, shard }) => [message, shard]).toSorted()).toEqual([
    ['summary: 2 started', 3], ['summary: 5 started', 1], ['summary: 5 started', 2],
  ])
  expect(await stateOf(fixture.world, 'web-7')).toEqual({
    since: '2026-11-01T00:30:00.000Z', next: '2026-11-02T01:00:00.000Z', lastRun: { time: '2026-11-01T01:00:00.000Z', period: '2026-11-01', server: servers[6] },
  })
})

test('each of 2 clouds is cut for itself, and one that is small is not', async () => {
  const { world } = fixture
  const { service } = await daily(6, 20)
  world.aws.parameters.set('/scheduled-images/local/clouds/small', [...world.aws.parameters.values()][0]!)
  for (let n = 1; n <= 5; n += 1) await scheduled(world, `small-${n}`, {}, { cloud: 'small', onEnable: 'now' })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 5, sharded: 2 })
  expect(queued().map(({ cloud }) => cloud)).toEqual(['default', 'default'])
})

test('a shard that dies midway and comes again makes one image for each server, whatever the timers did meanwhile', async () => {
  const { service, servers } = await daily(12, 20)
  await service.snapshotAt('daily', day(1))
  // Five are claimed, and some of them are asked for.
  expect(await deliver(dyingAt(/^POST .*action$/, 3))).toBe(3)
  expect(fixture.world.aws.queue.messages).toHaveLength(3)
  expect(imagesPerServer(servers).filter((count) => count === 0).length).toBeGreaterThanOrEqual(10)

  await tickInShards(fixture.world, service, day(1, '01:15:00'))
  fixture.world.setClock(day(1, '02:30:00'))
  expect(await deliver(shardFunction(service))).toBe(3)
  await tickInShards(fixture.world, service, day(1, '02:45:00'))
  await tickInShards(fixture.world, service, day(1, '03:15:00'))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
  expect((await fixture.world.runs()).filter(({ status }) => status === 'good')).toHaveLength(12)
  expect(fixture.world.aws.queue.messages).toEqual([])
}, 60_000)

test('a message that comes twice, at once or later, makes one image for each server', async () => {
  const { service, servers } = await daily(12, 20)
  await service.snapshotAt('daily', day(1))
  for (const { body } of fixture.world.aws.queue.messages) fixture.world.aws.queue.put(body)
  expect(await deliver(shardFunction(service), 6)).toBe(6)
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))

  for (const shard of [1, 2]) fixture.world.aws.queue.put(JSON.stringify({ version: 1, kind: 'snapshot', cloud: 'default', cadence: 'daily', now: day(1), shard, of: 2, starts: servers.map((server, n) => ({ schedule: `web-${n + 1}`, servers: [server] })) }))
  await deliver(shardFunction(service), 2)
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
  expect(service.lines.at(-1)).toMatchObject({ message: 'summary: 12 not due' })
})

test('a message that cannot be read is given back with its reason, and is a dead letter after three deliveries; the others are done', async () => {
  const { world } = fixture
  const { service, servers } = await daily(6, 20)
  world.aws.queue.put('{"version":2}')
  await service.snapshotAt('daily', day(1))
  const deliveries: number[] = []
  for (const time of ['01:00:00', '02:30:00', '04:00:00', '05:30:00', '07:00:00']) {
    world.setClock(day(1, time))
    deliveries.push(await deliver(shardFunction(service)))
  }
  expect(deliveries).toEqual([3, 1, 1, 0, 0])
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
  expect(world.aws.queue.deadLetters).toMatchObject([{ body: '{"version":2}', receives: 3 }])
  const errors = service.lines.filter(({ level }) => level === 'error')
  expect(errors).toHaveLength(3)
  expect(errors[0]).toMatchObject({ code: 'SHARD_INVALID', message: expect.stringContaining('a message of the shard queue is given back: A message of the shard queue cannot be read: "version" is 2: this release reads 1.') })
})

test('of several messages in one event only those that were not done are given back', async () => {
  const { service, servers } = await daily(6, 20)
  await service.snapshotAt('daily', day(1))
  const records = [...queued().map((shard) => JSON.stringify(shard)), 'no shard'].map((body, i) => ({ messageId: `m-${i}`, body, attributes: { ApproximateReceiveCount: '1' } }))
  expect(await shardFunction(service)({ Records: records })).toEqual({ batchItemFailures: [{ itemIdentifier: 'm-2' }] })
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
})

test('a shard that a table fails for is given back, and its servers are not asked twice', async () => {
  const { service, servers } = await daily(6, 20)
  await service.snapshotAt('daily', day(1))
  // The fourth run could not be claimed: the SDK has given up.
  let puts = 0
  const agent = new Interposer({ before: ({ name }) => Promise.resolve(name === 'DynamoDB PutItem' && (puts += 1) >= 4 ? 'reset' : 'send'), after: () => Promise.resolve('deliver') })
  await deliver(shardFunction(shardingIn(fixture.world, { agent })))
  expect(fixture.world.aws.queue.messages).toMatchObject([{ receives: 1 }, { receives: 1 }])
  fixture.world.setClock(day(1, '02:30:00'))
  await deliver(shardFunction(service))
  for (const time of ['02:45:00', '03:15:00', '04:00:00']) await tickInShards(fixture.world, service, day(1, time))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
  expect(fixture.world.aws.queue.messages).toEqual([])
}, 60_000)

test('max_in_flight holds for all shards together, also when a plan that is late meets its successor', async () => {
  const { world } = fixture
  const { service, servers } = await daily(20, 12)
  await service.snapshotAt('daily', day(1))
  expect(queued().map(({ starts }) => starts.length)).toEqual([5, 5, 2])

  // Nothing was delivered, and the next tick plans anew: these come first.
  const early: string[] = []
  for (let n = 1; n <= 8; n += 1) early.push((await scheduled(world, `early-${n}`, {}, { at: '00:45', onEnable: 'now' })).id)
  expect(await service.snapshotAt('daily', day(1, '01:15:00'))).toMatchObject({ sharded: 3, waiting: 16 })
  const [first, second, third, ...late] = queued().map((shard) => JSON.stringify(shard))
  expect(await deliver(shardFunction(service))).toBe(6)
  expect((await world.runs()).filter(({ status }) => status === 'saving')).toHaveLength(12)
  expect(service.lines.filter(({ message }) => message === 'waiting: as many images of this cloud are being made as max_in_flight allows (12)').length).toBeGreaterThan(16)

  // In whichever order.
  for (const body of [third!, ...late.toReversed(), second!, first!]) world.aws.queue.put(body)
  await deliver(shardFunction(service))
  expect((await world.runs()).filter(({ status }) => status === 'saving')).toHaveLength(12)
  for (const time of ['01:30:00', '01:45:00', '02:00:00', '02:15:00']) await tickInShards(world, service, day(1, time))
  expect(imagesPerServer([...servers, ...early])).toEqual([...servers, ...early].map(() => 1))
}, 60_000)

test('max_in_flight_per_host holds for all shards together', async () => {
  const { world } = fixture
  const [[name, text]] = [...world.aws.parameters] as [[string, string]]
  world.aws.parameters.set(name, JSON.stringify({ ...(JSON.parse(text) as object), max_in_flight: 50, max_in_flight_per_host: 4 }))
  for (let n = 1; n <= 18; n += 1) await scheduled(world, `web-${n}`, { host: `compute-${n % 3}` })
  const service = shardingIn(world)
  await service.tickAt(day(1, '00:30:00'))
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ sharded: 3, waiting: 6 })
  await deliver(shardFunction(service), 3)
  expect((await world.runs()).filter(({ status }) => status === 'saving')).toHaveLength(12)
})

test('a shard that has no time left starts nothing more, and the next tick goes on', async () => {
  const { service, servers } = await daily(6, 20)
  await service.snapshotAt('daily', day(1))
  await deliver(shardFunction(service, () => 29_000))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 0))
  expect(service.lines.filter(({ message }) => message === 'waiting: too little time is left in this invocation')).toHaveLength(6)
  expect(fixture.world.aws.queue.messages).toEqual([])
  expect(await stateOf(fixture.world, 'web-1')).toMatchObject({ next: '2026-11-01T01:00:00.000Z' })
  await tickInShards(fixture.world, service, day(1, '01:15:00'))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
})

test('a message that comes when its period is over makes no image', async () => {
  const { service, servers } = await daily(6, 20)
  await service.snapshotAt('daily', day(1))
  fixture.world.setClock(day(2, '01:00:00'))
  await deliver(shardFunction(service))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 0))
  expect(service.lines.filter(({ message }) => message === 'no longer due: period 2026-11-01 was over before its shard came')).toHaveLength(6)
})

test('a message that comes late leaves what the items say of later runs', async () => {
  const { world } = fixture
  const { service, servers } = await daily(6, 20, { cadence: 'custom', cron: '0 * * * *', spread: undefined })
  await service.snapshotAt('custom', day(1))
  const messages = [...world.aws.queue.messages]
  await deliver(() => Promise.resolve({ batchItemFailures: [] }))
  world.openstack.setServer(servers[1]!, { taskState: 'rebuilding' })
  for (const time of ['02:00:00', '02:15:00', '02:30:00']) await tickInShards(world, service, day(1, time))
  const states = () => Promise.all(servers.map((_, n) => stateOf(world, `web-${n + 1}`, 'custom')))
  const before = await states()
  expect(before).toMatchObject([{ next: '2026-11-01T03:00:00.000Z' }, { problem: expect.stringContaining('is busy') as string }, {}, {}, {}, {}])
  for (const { body } of messages) world.aws.queue.put(body)
  expect(await deliver(shardFunction(service))).toBe(2)
  expect(await states()).toEqual(before)
})

test('what people changed since the plan was made counts: a schedule that is disabled or gone, a name that moved, a server that a selector no longer matches', async () => {
  const { world } = fixture
  allow(20)
  const [a, b, c] = [await scheduled(world, 'a'), await scheduled(world, 'b'), await scheduled(world, 'c', {}, { server: 'c' })]
  const fleet = [1, 2, 3, 4].map((n) => world.openstack.addServer(world.project, { name: `fleet-${n}`, host: `fleet-${n}`, metadata: { fleet: 'yes' } }))
  await world.putSchedule({ cadence: 'daily', schedule: 'fleet', selector: { metadata: { fleet: 'yes' } }, retention: 1, spread: 0 })
  const service = shardingIn(world)
  await service.tickAt(day(1, '00:30:00'))
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ sharded: 2 })

  await world.editSchedule('daily', 'a', { enabled: false })
  await world.deleteSchedule('daily', 'b')
  world.openstack.remove(c.id)
  const successor = world.openstack.addServer(world.project, { name: 'c' })
  world.openstack.setServer(fleet[0]!.id, { metadata: {} })
  await deliver(shardFunction(service), 2)
  expect(imagesPerServer([a.id, b.id, c.id, successor.id, ...fleet.map(({ id }) => id)])).toEqual([0, 0, 0, 0, 0, 1, 1, 1])
  await tickInShards(world, service, day(1, '01:15:00'))
  expect(imagesPerServer([a.id, b.id, successor.id, fleet[0]!.id])).toEqual([0, 0, 1, 0])
  expect(await stateOf(world, 'fleet')).toMatchObject({ next: '2026-11-02T01:00:00.000Z', lastRun: { period: '2026-11-01' }, lastGood: { period: '2026-11-01' } })
})

test('messages that SQS refuses for the moment are sent again, and a queue that fails is a fault whose work is done by the next tick', async () => {
  const { world } = fixture
  const { service, servers } = await daily(12, 20)
  world.aws.queue.fails = true
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ sharded: 0, faults: 3 })
  expect(service.lines.filter(({ level }) => level === 'error').map(({ message }) => message)[0]).toMatch(/^shard 1 of 3 of the images to start of cloud "default" could not be sent, and is left for the next tick: /)
  world.aws.queue.fails = false
  world.aws.queue.refusing = 4
  expect(await service.snapshotAt('daily', day(1, '01:15:00'))).toMatchObject({ sharded: 3, faults: 0 })
  await deliver(shardFunction(service))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))

  world.aws.queue.fails = true
  expect(await service.pruneAt(day(1, '01:30:00'))).toMatchObject({ sharded: 0, faults: 3, good: 0 })
  world.aws.queue.fails = false
  await tickInShards(world, service, day(1, '01:45:00'))
  expect((await world.runs()).filter(({ status }) => status === 'good')).toHaveLength(12)
}, 60_000)

test('a cloud that is away when its shard comes is left to the next tick', async () => {
  const { world } = fixture
  const { service, servers } = await daily(6, 20)
  await service.snapshotAt('daily', day(1))
  const repair = world.openstack.fault({ service: 'compute', method: 'GET', then: { status: 503 } })
  await deliver(shardFunction(service))
  repair()
  expect(world.aws.queue.messages).toEqual([])
  expect(service.lines.filter(({ message }) => message === 'summary: 5 unreachable')).toHaveLength(1)
  await tickInShards(world, service, day(1, '01:15:00'))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
})

test('a dry run is done by the timer, and sends nothing', async () => {
  const { service } = await daily(12, 20)
  await service.snapshotAt('daily', day(1))
  const dry = shardingIn(fixture.world, {}, { DRY_RUN: 'true' })
  expect(await dry.snapshotAt('daily', day(1))).toMatchObject({ planned: 12, sharded: 0 })
  expect(fixture.world.aws.queue.messages).toHaveLength(3)
})

test('runs are settled in slices, a prune that died is looked after by the next tick, and retention is held', async () => {
  const { world } = fixture
  const { service, servers } = await daily(12, 20)
  for (const n of [1, 2]) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await tickInShards(world, service, day(n, time))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 2))
  await tickInShards(world, service, day(3))
  world.setClock(day(3, '01:15:00'))
  expect(await service.pruneAt(day(3, '01:15:00'))).toMatchObject({ clouds: 0, good: 0, sharded: 3 })
  expect(queued<PruneShard>().map(({ kind, shard, of, pruning }) => [kind, shard, of, pruning])).toEqual([['prune', 1, 3, false], ['prune', 2, 3, false], ['prune', 3, 3, false]])

  // It has sealed and recorded some images, and deleted none.
  await deliver(dyingAt(/^DELETE .*images/, 1))
  const good = (await world.runs()).filter(({ status, period }) => status === 'good' && period === '2026-11-03').length
  expect(good).toBeGreaterThan(0)
  for (const time of ['01:30:00', '01:45:00']) await tickInShards(world, service, day(3, time))
  expect(servers.map((id) => imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period']))).toEqual(servers.map(() => ['2026-11-02', '2026-11-03']))
  // What comes late finds nothing to do.
  world.setClock(day(3, '04:00:00'))
  await deliver(shardFunction(service))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 2))
  expect(world.aws.queue.messages).toEqual([])
}, 60_000)

test('images of many servers that are beyond retention are deleted by shards, and no more of a cloud at a tick than MAX_DELETES allows', async () => {
  const { world } = fixture
  const { servers } = await daily(12, 20, { retention: 4 })
  const service = shardingIn(world, {}, { MAX_DELETES: '8' })
  for (const n of [1, 2, 3]) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await tickInShards(world, service, day(n, time))
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 3))
  for (let n = 1; n <= 12; n += 1) await world.editSchedule('daily', `web-${n}`, { retention: 1 })

  const left = () => world.openstack.images().filter(({ properties }) => properties['scheduled_images__image']).length
  // A day after the last prune.
  expect(await service.pruneAt(day(4, '01:45:00'))).toMatchObject({ deleted: 0, sharded: 3 })
  expect(queued<PruneShard>().map(({ pruning }) => pruning)).toEqual([true, true, true])
  await deliver(shardFunction(service), 3)
  expect(left()).toBe(36 - 8)
  for (const time of ['02:00:00', '02:15:00']) {
    await service.pruneAt(day(4, time))
    await deliver(shardFunction(service), 3)
  }
  expect(left()).toBe(12)
  const periods = servers.map((id) => imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period']))
  expect(periods).toEqual(servers.map(() => ['2026-11-03']))
}, 60_000)

test('what the timer has deleted itself counts to MAX_DELETES as well', async () => {
  const { world } = fixture
  const { servers } = await daily(12, 20)
  const service = shardingIn(world, {}, { MAX_DELETES: '8' })
  for (const n of [1, 2]) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await tickInShards(world, service, day(n, time))
  for (let n = 1; n <= 12; n += 1) await world.editSchedule('daily', `web-${n}`, { retention: 1 })
  const [server] = servers as [string]
  const leftover = world.openstack.addImage(world.project, { name: 'leftover', status: 'queued', properties: { 'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: server, scheduled_images__run: 'run-1' } })
  const { runs } = wire({ env: world.env, clock: world.clock, newId: () => 'write' }).ports
  world.setClock(day(3, '01:45:00'))
  await runs.putDeletion({ cloud: 'default', server, schedule: 'daily/web-1', image: leftover.id, snapshots: [], startedAt: world.clock(), leftoverOf: { period: '2026-11-01', runId: 'run-1' } })

  const before = world.openstack.images().length
  await service.pruneAt(day(3, '01:45:00'))
  await deliver(shardFunction(service), 3)
  expect(world.openstack.images().some(({ id }) => id === leftover.id)).toBe(false)
  expect(before - world.openstack.images().length).toBe(8)
  for (const time of ['02:00:00', '02:15:00']) {
    await service.pruneAt(day(3, time))
    await deliver(shardFunction(service), 3)
  }
  expect(imagesPerServer(servers)).toEqual(servers.map(() => 1))
}, 60_000)
