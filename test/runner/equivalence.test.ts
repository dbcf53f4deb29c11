import { expect, test } from 'vitest'
import { startWorld, type World } from '../../demo/world.ts'
import { marks } from '../../lib/model/image.ts'
import { addCloud, day } from '../support/scene.ts'
import { leaksIn } from '../support/secrecy.ts'
import { serviceIn, type TestService } from '../support/service.ts'
import { shardingIn, tickInShards } from '../support/shards.ts'

const clouds = ['default', 'beta'] as const

/** Two clouds with twenty servers each: by their ids, by a name, by a selector, and what goes wrong with some. */
async function buildEstate(): Promise<World> {
  const world = await startWorld({ now: '2026-11-01T00:00:00Z', seed: 7 })
  const projects = { default: world.project, beta: addCloud(world, 'beta') }
  for (const cloud of clouds) {
    allow(world, cloud, 15)
    for (let n = 1; n <= 20; n += 1) {
      const name = `${cloud}-${n}`
      const metadata: Record<string, string> = { ...(n > 13 && { fleet: 'yes' }), ...(n === 4 && { lab_fail: 'snapshot' }) }
      const { id } = world.openstack.addServer(projects[cloud], { name, host: name, metadata, volumeBacked: n % 5 === 0 })
      if (n === 6) world.openstack.setServer(id, { taskState: 'rebuilding' })
      if (n <= 13) await put(world, { schedule: name, cloud, server: n === 2 ? name : id })
    }
    await put(world, { schedule: `${cloud}-fleet`, cloud, selector: { metadata: { fleet: 'yes' } } })
    await put(world, { schedule: `${cloud}-gone`, cloud, server: `47c3f6b0-0000-4000-8000-0000000000${cloud === 'beta' ? 10 : 20}` })
  }
  return world
}

function put(world: World, item: Record<string, unknown>): Promise<void> {
  return world.putSchedule({ cadence: 'daily', retention: 1, spread: 0, ...item })
}

function allow(world: World, cloud: string, max: number): void {
  const name = `/scheduled-images/local/clouds/${cloud}`
  world.aws.parameters.set(name, JSON.stringify({ ...(JSON.parse(world.aws.parameters.get(name)!) as object), max_in_flight: max, max_in_flight_per_host: max }))
}

const ids = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g

/** Of servers that were served at the same moment, a selector's item remembers any. */
function anyServer(value: unknown): unknown {
  return typeof value === 'object' ? { ...value, server: undefined, image: undefined } : value
}

/** What a world has come to, with names for ids that chance gave. What is overdue is told a tick later when shards settle. */
async function outcome(world: World, service: TestService) {
  const names = new Map([
    ...world.openstack.servers().map(({ id, name }) => [id, name] as const),
    ...world.openstack.images().map(({ id, name, properties }) => [id, `image ${name} of ${properties[marks.period]}`] as const),
  ])
  const named = (value: unknown) => JSON.stringify(value).replaceAll(ids, (id) => names.get(id) ?? 'ID')
  const sorted = (values: readonly unknown[]) => values.map((value) => (typeof value === 'string' ? value : named(value))).toSorted()
  const schedules = await world.schedules()
  return {
    images: sorted(world.openstack.images().map(({ name, owner, status, tags, properties }) => [name, owner, status, tags, properties[marks.schedule], properties[marks.period], properties[marks.seal] !== undefined])),
    snapshots: sorted(world.openstack.snapshots().map(({ name, status }) => [name, status])),
    runs: sorted((await world.runs()).map(({ server, run, status, attempt, problem, inFlight }) => [server, run, status, attempt, problem, inFlight])),
    states: sorted(schedules.map(({ schedule, selector, state }) => [schedule, ...Object.entries(state as object).toSorted().map(([field, value]) => [field, selector ? anyServer(value) : value])])),
    events: sorted(world.aws.events.map(({ type, detail }) => [type, detail])),
    decisions: sorted(service.lines.flatMap(({ level, message, cloud, server, schedule, period }) => (level === 'debug' || /^(handed over|summary)|overdue: /.test(message) ? [] : [[level, message, cloud, server, schedule, period]]))),
  }
}

const times = ['01:00:00', '01:15:00', '01:30:00', '01:45:00']

/** Three days, on which a server is repaired, one is deleted and one appears. */
async function play(build: (world: World) => TestService, tick: (world: World, service: TestService, at: string) => Promise<void>) {
  const world = await buildEstate()
  try {
    const service = build(world)
    await tick(world, service, day(1, '00:30:00'))
    const days: Awaited<ReturnType<typeof outcome>>[] = []
    for (let n = 1; n <= 3; n += 1) {
      const called = (name: string) => world.openstack.servers().find((server) => server.name === name)!
      if (n === 2) world.openstack.setServer(called('beta-4').id, { metadata: {} })
      if (n === 3) world.openstack.remove(called('beta-14').id)
      if (n === 2) world.openstack.addServer(world.project, { name: 'default-21', host: 'default-21', metadata: { fleet: 'yes' } })
      for (const time of times) await tick(world, service, day(n, time))
      days.push(await outcome(world, service))
    }
    expect(await leaksIn(world)).toEqual([])
    return { days, sent: world.aws.queue.calls, left: world.aws.queue.messages.length }
  } finally {
    await world.close()
  }
}

test('what is handed over to shards has the same images, runs, states, events and decisions as what is not', async () => {
  const inline = await play(serviceIn, (_world, service, at) => service.tickAt(at))
  const sharded = await play(shardingIn, tickInShards)
  expect(inline.sent).toBe(0)
  expect(sharded.sent).toBeGreaterThan(10)
  expect(sharded.left).toBe(0)
  for (const [n, expected] of inline.days.entries()) {
    for (const [what, values] of Object.entries(expected)) expect(sharded.days[n]![what as keyof typeof expected], `${what} after day ${n + 1}`).toEqual(values)
  }
  // It would prove nothing if little had happened.
  const last = inline.days.at(-1)!
  expect(last.events.filter((event) => event.includes('Scheduled Images Pruned')).length).toBeGreaterThan(40)
  expect(last.decisions.filter((line) => line.includes('waiting: as many images of this cloud')).length).toBeGreaterThan(5)
}, 120_000)
