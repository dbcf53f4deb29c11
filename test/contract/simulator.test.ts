import { afterEach, describe, expect, test } from 'vitest'
import type { FaultEffect, OpenStackSimulator, OpenStackSimulatorOptions } from '../../demo/openstack/simulator.ts'
import { startOpenStack } from '../../demo/openstack/simulator.ts'
import type { Api, Json } from './api.ts'
import { connect } from './api.ts'

/** What only the simulator has: its clock, its seeds, its faults, its log. The rest is in the wire tests. */
const started: OpenStackSimulator[] = []
afterEach(async () => {
  for (const simulator of started.splice(0)) await simulator.close()
})

async function begin(options: OpenStackSimulatorOptions = {}): Promise<{ simulator: OpenStackSimulator; api: Api; projectId: string }> {
  const simulator = await startOpenStack(options)
  started.push(simulator)
  const project = simulator.addProject('alpha')
  simulator.addUser('alice', 'secret', { alpha: 'member' })
  const auth = {
    auth_url: simulator.authUrl,
    username: 'alice',
    password: 'secret',
    project_name: 'alpha',
    user_domain_name: 'Default',
    project_domain_name: 'Default',
  }
  return { simulator, api: await connect({ region_name: 'RegionTwo', auth }), projectId: project.id }
}

test('an image moves on by the clock alone', async () => {
  let now = Date.parse('2026-03-01T02:00:00.400Z')
  const { simulator, api, projectId } = await begin({ clock: () => new Date(now) })
  const server = simulator.addServer({ id: projectId, name: 'alpha' }, { name: 'web-1' })
  const reply = await api.action(server.id, { createImage: { name: 'snap' } }, '2.45')
  const at = (ms: number): unknown[] => {
    now = Date.parse('2026-03-01T02:00:00.400Z') + ms
    const image = simulator.images().find(({ id }) => id === reply.json['image_id'])
    return [image?.status, simulator.servers()[0]?.taskState, image?.createdAt.toISOString()]
  }
  const created = '2026-03-01T02:00:00.000Z'
  expect(at(0)).toEqual(['queued', 'image_snapshot_pending', created])
  expect(at(999)).toEqual(['queued', 'image_uploading', created])
  expect(at(1000)).toEqual(['saving', 'image_uploading', created])
  expect(at(2000)).toEqual(['active', 'image_uploading', created])
  expect(at(2100)).toEqual(['active', null, created])
})

test('the same seed gives the same ids', async () => {
  const ids = async (seed: number): Promise<string[]> => {
    const { simulator, projectId } = await begin({ seed })
    simulator.addServer({ id: projectId, name: 'alpha' }, { name: 'web-1', volumeBacked: true })
    return [...simulator.images(), ...simulator.servers(), ...simulator.volumes()].map(({ id }) => id)
  }
  expect(await ids(7)).toEqual(await ids(7))
  expect(await ids(7)).not.toEqual(await ids(8))
  expect((await ids(7))[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('tokens end, and every service notices', async () => {
  let now = Date.now()
  const { api } = await begin({ clock: () => new Date(now), tokenLifetimeSeconds: 60 })
  expect((await api.request('compute', 'GET', '/servers')).status).toBe(200)
  now += 61_000
  for (const [service, path] of [['compute', '/servers'], ['image', '/v2/images'], ['block-storage', '/snapshots']] as const) {
    expect((await api.request(service, 'GET', path)).status).toBe(401)
  }
})

test('an old cloud refuses what it does not speak, and answers createImage with Location alone', async () => {
  const { simulator, api, projectId } = await begin({ maxMicroversion: '2.38' })
  const server = simulator.addServer({ id: projectId, name: 'alpha' }, { name: 'web-1' })
  expect((await api.action(server.id, { createImage: { name: 'x' } }, '2.45')).status).toBe(406)
  const reply = await api.action(server.id, { createImage: { name: 'x' } }, '2.38')
  expect(reply.headers.get('location')).toContain(`${simulator.url}/image//images/`)
})

test('seeded images keep their age, and a large cloud is listed page by page', async () => {
  const { simulator, api, projectId } = await begin({ imagePageLimit: 400 })
  const project = { id: projectId, name: 'alpha' }
  for (let index = 0; index < 10_000; index += 1) {
    const createdAt = new Date(Date.UTC(2026, 0, 1) + index * 60_000)
    simulator.addImage(project, { name: `i-${index}`, createdAt, properties: { mark: 'x' }, tags: ['auto'] })
  }
  let next: string | undefined = `/v2/images?owner=${projectId}&tag=auto&limit=1000`
  let count = 0
  const begun = performance.now()
  while (next !== undefined) {
    const page: Json = (await api.request('image', 'GET', next)).json
    if (count === 0) expect(page['images'][0]).toMatchObject({ name: 'i-9999', created_at: '2026-01-07T22:39:00Z' })
    count += page['images'].length
    next = page['next']
  }
  expect(count).toBe(10_000)
  expect(performance.now() - begun).toBeLessThan(5_000)
})

test('a cloud is put away at rest, and goes on elsewhere with all that it had', async () => {
  let now = Date.parse('2026-03-01T02:00:00Z')
  const clock = () => new Date(now)
  const { simulator, api, projectId } = await begin({ clock, seed: 1, maxMicroversion: '2.60', snapshotSeconds: { saving: 20, active: 400, idle: 402 } })
  const project = { id: projectId, name: 'alpha' }
  simulator.setQuotas(project, { imageQuota: 4 })
  const server = simulator.addServer(project, { name: 'web-1', dataVolumes: 1, tags: ['golden'] })
  await api.action(server.id, { createImage: { name: 'snap', metadata: { team: 'red' } } }, '2.45')
  const saved = structuredClone(simulator.save())
  expect(saved.at).toBe(now + 402_000)
  expect(JSON.stringify(saved, (_, value: unknown) => (value instanceof Map ? [...value] : value))).not.toContain('gAAAAA')

  now = saved.at
  const next = await startOpenStack({ clock, saved })
  started.push(next)
  expect(next.images()).toMatchObject([{ id: simulator.baseImageId }, { name: 'snap', status: 'active', properties: { team: 'red', instance_uuid: server.id } }])
  expect(next.baseImageId).toBe(simulator.baseImageId)
  for (const list of ['images', 'servers', 'volumes', 'snapshots'] as const) expect(next[list]()).toEqual(simulator[list]())
  const auth = { auth_url: next.authUrl, username: 'alice', password: 'secret', project_name: 'alpha', user_domain_name: 'Default', project_domain_name: 'Default' }
  const later = await connect({ region_name: 'RegionTwo', auth })
  expect((await later.request('compute', 'GET', '/servers', { microversion: 'compute 2.61' })).status).toBe(406)
  // The quota is four, counts what there was before, and the base image is another project's.
  const statuses: number[] = []
  for (let n = 0; n < 4; n += 1) {
    statuses.push((await later.action(server.id, { createImage: { name: `later-${n}` } }, '2.45')).status)
    now += 402_000
  }
  expect(statuses).toEqual([202, 202, 202, 500])
})

test('every request is written down', async () => {
  const { simulator, api, projectId } = await begin()
  const server = simulator.addServer({ id: projectId, name: 'alpha' }, { name: 'web-1' })
  await api.action(server.id, { createImage: { name: 'x' } }, '2.45')
  expect(simulator.requests).toMatchObject([
    { service: 'identity', method: 'POST', path: '/v3/auth/tokens', status: 201 },
    { service: 'compute', method: 'POST', path: `/v2.1/servers/${server.id}/action`, status: 202, microversion: 'compute 2.45', action: 'createImage' },
  ])
})

describe('faults', () => {
  const list = (api: Api) => api.request('image', 'GET', '/v2/images')

  test('an error in the service’s own format, for so many requests, after so many', async () => {
    const { simulator, api } = await begin()
    simulator.fault({ service: 'image', method: 'GET', path: /^\/v2\/images/, after: 1, times: 2, then: { status: 503, headers: { 'Retry-After': '7' } } })
    const replies = [await list(api), await list(api), await list(api), await list(api)]
    expect(replies.map(({ status }) => status)).toEqual([200, 503, 503, 200])
    expect(replies[1]?.headers.get('retry-after')).toBe('7')
    expect(replies[1]?.text).toContain('<title>503 Service Unavailable</title>')
  })

  test.each<[what: string, effect: FaultEffect]>([
    ['reset', 'reset'],
    ['lose-answer', 'lose-answer'],
    ['a truncated body', { truncateAt: 5 }],
  ])('%s breaks the connection', async (_what, effect) => {
    const { simulator, api } = await begin()
    const stop = simulator.fault({ service: 'image', then: effect })
    await expect(list(api)).rejects.toThrow()
    stop()
    expect((await list(api)).status).toBe(200)
  })

  test('a lost answer has done the work, a reset has not', async () => {
    const { simulator, api, projectId } = await begin()
    const server = simulator.addServer({ id: projectId, name: 'alpha' }, { name: 'web-1' })
    const names = (): (string | null)[] => simulator.images().filter(({ owner }) => owner === projectId).map(({ name }) => name)
    const stop = simulator.fault({ body: /createImage/, times: 1, then: 'reset' })
    await expect(api.action(server.id, { createImage: { name: 'never' } })).rejects.toThrow()
    expect(names()).toEqual([])
    stop()
    simulator.fault({ body: /createImage/, then: 'lose-answer' })
    await expect(api.action(server.id, { createImage: { name: 'made' } })).rejects.toThrow()
    expect(names()).toEqual(['made'])
    expect(simulator.requests.at(-1)?.status).toBe(0)
  })

  test('another body, another type, a delay', async () => {
    const { simulator, api } = await begin()
    simulator.fault({ service: 'image', times: 1, then: { body: '<html>proxy</html>', headers: { 'content-type': 'text/html' }, delayMs: 30 } })
    const begun = performance.now()
    const reply = await list(api)
    expect(performance.now() - begun).toBeGreaterThan(25)
    expect([reply.status, reply.text, reply.headers.get('content-type')]).toEqual([200, '<html>proxy</html>', 'text/html'])
  })

  test('a request that hangs ends with the client or the cloud', async () => {
    const { simulator, api } = await begin()
    simulator.fault({ service: 'image', then: 'hang' })
    const hanging = expect(list(api)).rejects.toThrow()
    await expect.poll(() => simulator.requests.at(-1)).toMatchObject({ service: 'image', status: 0 })
    await simulator.close()
    await hanging
  })
})

test('servers of one host show one hash in a project, and another in each other project', async () => {
  const { simulator, api, projectId } = await begin()
  const project = { id: projectId, name: 'alpha' }
  const other = simulator.addProject('beta')
  const hosts: [name: string, of: typeof project, host?: string][] = [['a', project], ['b', project], ['c', project, 'compute-2'], ['d', other, 'compute-2']]
  for (const [name, of, host] of hosts) simulator.addServer(of, { name, ...(host !== undefined && { host }) })
  simulator.addUser('admin', 'secret', { alpha: 'admin' })
  const auth = { auth_url: simulator.authUrl, username: 'admin', password: 'secret', project_name: 'alpha', user_domain_name: 'Default', project_domain_name: 'Default' }
  const admin = await connect({ region_name: 'RegionOne', auth })
  const servers: Json[] = (await admin.request('compute', 'GET', '/servers/detail?all_tenants=1')).json['servers']
  const [d, c, b, a] = servers.map(({ hostId }) => hostId as string)
  expect(a).toMatch(/^[0-9a-f]{56}$/)
  expect(b).toBe(a)
  expect(new Set([a, c, d]).size).toBe(3)
  expect(simulator.servers().map(({ host }) => host)).toEqual(['compute-1', 'compute-1', 'compute-2', 'compute-2'])
  expect((await api.request('compute', 'GET', '/servers/detail')).json['servers'][2]).toMatchObject({ hostId: a })
})

test('members of images and tags of servers are seen, and set from the start', async () => {
  const { simulator, api, projectId } = await begin()
  const project = { id: projectId, name: 'alpha' }
  const { id } = simulator.addImage(project, { name: 'shared', visibility: 'shared' })
  await api.request('image', 'POST', `/v2/images/${id}/members`, { body: { member: 'p-1' } })
  expect(simulator.images().at(-1)).toMatchObject({ visibility: 'shared', members: { 'p-1': 'pending' } })
  expect(simulator.addServer(project, { name: 'web-1', tags: ['daily'] })).toMatchObject({ tags: ['daily'] })
  simulator.setServer(simulator.servers()[0]?.id ?? '', { tags: ['weekly'] })
  const shown = await api.request('compute', 'GET', '/servers/detail', { microversion: 'compute 2.26' })
  expect(shown.json['servers']).toMatchObject([{ tags: ['weekly'] }])
})

test('the operator changes things behind the users’ backs', async () => {
  const { simulator, api, projectId } = await begin()
  const project = { id: projectId, name: 'alpha' }
  const server = simulator.addServer(project, { name: 'bfv', volumeBacked: true, dataVolumes: 1, metadata: { a: '1' } })
  expect(server).toMatchObject({ status: 'ACTIVE', volumeBacked: true, imageId: '', metadata: { a: '1' } })
  await api.action(server.id, { createImage: { name: 'snap' } })
  const [snapshot] = simulator.snapshots()
  simulator.setSnapshot(snapshot?.id ?? '', { status: 'error' })
  expect(simulator.snapshots()[0]?.status).toBe('error')
  simulator.setServer(server.id, { status: 'SHUTOFF', taskState: 'image_snapshot', metadata: { b: '2' } })
  expect(simulator.servers()[0]).toMatchObject({ status: 'SHUTOFF', taskState: 'image_snapshot', metadata: { b: '2' } })
  simulator.remove(server.id)
  expect(simulator.servers()).toEqual([])
})
