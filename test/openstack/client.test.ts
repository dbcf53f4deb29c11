import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startOpenStack, type OpenStackSimulator, type OpenStackSimulatorOptions } from '../../demo/openstack/simulator.ts'
import { connect, type ConnectOptions, type OpenStack } from '../../lib/openstack/cloud.ts'
import { parseCloudConfig } from '../../lib/openstack/config.ts'

let simulator: OpenStackSimulator
let now: Date
let slept: number[]
let server: string
let entry: { auth: Record<string, string>; region_name: string; cacert?: string; compute_endpoint_override?: string }

async function start(options: OpenStackSimulatorOptions = {}): Promise<void> {
  simulator = await startOpenStack({ clock: () => now, ...options })
  const project = simulator.addProject('alpha')
  const user = simulator.addUser('alice', 'alice-password', { alpha: 'member' })
  const { id } = simulator.addApplicationCredential(user, project, { secret: 'alpha-secret' })
  entry = { auth: { auth_url: simulator.authUrl, application_credential_id: id, application_credential_secret: 'alpha-secret' }, region_name: 'RegionOne' }
  server = simulator.addServer(project, { name: 'web-1' }).id
}

beforeEach(async () => {
  now = new Date('2026-11-21T00:00:00Z')
  slept = []
  await start()
})
afterEach(() => simulator.close())

function enter(options: Partial<ConnectOptions> = {}, change: Partial<typeof entry> = {}): Promise<OpenStack> {
  const sleep = (ms: number) => {
    slept.push(ms)
    return Promise.resolve()
  }
  return connect(parseCloudConfig(JSON.stringify({ ...entry, ...change }), 'test'), { clock: () => now, sleep, random: () => 0, ...options })
}

const count = (method: string, path: RegExp) => simulator.requests.filter((request) => request.method === method && path.test(request.path)).length
const tokens = () => count('POST', /auth\/tokens/)

test('a token is asked for once, kept, and replaced before it expires', async () => {
  const cloud = await enter()
  await Promise.all([cloud.compute.listServers(), cloud.image.getImage(simulator.baseImageId), cloud.blockStorage.listSnapshots()])
  expect(tokens()).toBe(1)
  now = new Date('2026-11-21T00:45:00Z')
  await cloud.compute.listServers()
  expect(tokens()).toBe(1)
  now = new Date('2026-11-21T00:51:00Z')
  await Promise.all([cloud.compute.listServers(), cloud.compute.listServers()])
  expect(tokens()).toBe(2)
  expect(simulator.requests.filter(({ status }) => status === 401)).toEqual([])
})

test('case 56: an expiry without a zone is in UTC', async () => {
  const user = simulator.addUser('bob', 'p', { alpha: 'member' })
  const project = { id: (await enter()).project, name: 'alpha' }
  const { id, secret } = simulator.addApplicationCredential(user, project, { secret: 'short', expiresAt: new Date('2026-11-21T00:30:00Z') })
  const cloud = await enter({}, { auth: { auth_url: simulator.authUrl, application_credential_id: id, application_credential_secret: secret } })
  const before = tokens()
  now = new Date('2026-11-21T00:15:00Z')
  await cloud.compute.listServers()
  expect(tokens()).toBe(before)
  now = new Date('2026-11-21T00:23:00Z')
  await cloud.compute.listServers()
  expect(tokens()).toBe(before + 1)
})

test('case 39: a 401 costs one new token and one more try', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', times: 1, then: { status: 401 } })
  expect(await cloud.compute.listServers()).toHaveLength(1)
  expect(tokens()).toBe(2)
})

test('case 39: a second 401 in a row is an error and no loop, for every further request too', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', then: { status: 401 } })
  await expect(cloud.compute.listServers()).rejects.toMatchObject({ code: 'CLOUD_AUTH_FAILED', message: expect.stringContaining('access rules') as unknown })
  await expect(cloud.compute.createImage(server, 'x', {})).rejects.toMatchObject({ code: 'CLOUD_AUTH_FAILED' })
  expect(tokens()).toBe(2)
})

test('reads are tried four times, each time after a longer wait', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', times: 3, then: { status: 503 } })
  expect(await cloud.compute.listServers()).toHaveLength(1)
  expect(slept).toEqual([500, 1000, 2000])
  simulator.fault({ service: 'compute', then: 'reset' })
  await expect(cloud.compute.listServers()).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  expect(slept).toHaveLength(6)
})

test("the server's Retry-After wins, and one that is too long is left to the next tick", async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', times: 1, then: { status: 429, headers: { 'Retry-After': '7' } } })
  await cloud.compute.listServers()
  expect(slept).toEqual([7000])
  simulator.fault({ service: 'compute', times: 1, then: { status: 413, headers: { 'Retry-After': '3600' } } })
  await expect(cloud.compute.listServers()).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  expect(slept).toEqual([7000])
})

test('case 63: createImage is sent once, whatever happens; what cannot be known is ANSWER_LOST', async () => {
  const cloud = await enter()
  for (const then of ['reset', 'lose-answer', { status: 500 }, { status: 503 }, { status: 202, body: '{"image' }, { status: 302, headers: { Location: 'http://127.0.0.1:9/' } }] as const) {
    const before = count('POST', /action/)
    simulator.setServer(server, { taskState: null })
    const repair = simulator.fault({ service: 'compute', method: 'POST', path: /action/, then })
    await expect(cloud.compute.createImage(server, 'x', {})).rejects.toMatchObject({ code: 'ANSWER_LOST' })
    expect(count('POST', /action/)).toBe(before + 1)
    repair()
  }
})

test('case 38: createImage waits for its answer longer than a busy Nova takes, and reads do not', async () => {
  const cloud = await enter()
  const limits = vi.spyOn(AbortSignal, 'timeout')
  await cloud.compute.listServers()
  await cloud.compute.createImage(server, 'x', {})
  const [read, createImage] = limits.mock.calls.map(([ms]) => ms)
  expect(read).toBeLessThanOrEqual(30_000)
  // Twenty at once were seen to be answered after 12 s each, on a small cloud.
  expect(createImage).toBeGreaterThanOrEqual(60_000)
})

test('a cloud that was never reached has certainly made no image', async () => {
  const cloud = await enter({}, { compute_endpoint_override: 'http://127.0.0.1:1/v2.1' })
  await expect(cloud.compute.createImage(server, 'x', {})).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE', message: expect.stringContaining('ECONNREFUSED') as unknown })
})

test('a connection that breaks after the request was sent is no proof that nothing was made', async () => {
  const broken = createTcpServer((socket) => {
    // What answers here speaks no TLS, but only once it has been spoken to.
    socket.once('data', () => socket.end('HTTP/1.1 garbage\r\n'))
  })
  await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve))
  const { port } = broken.address() as AddressInfo
  const cloud = await enter({}, { compute_endpoint_override: `http://127.0.0.1:${port}/v2.1` })
  const error = (await cloud.compute.createImage(server, 'x', {}).catch((caught: unknown) => caught)) as Error
  expect(error).toMatchObject({ code: 'ANSWER_LOST' })
  expect(error.message).not.toContain('\n')
  broken.close()
})

test('case 17: below microversion 2.45 the id is taken from Location', async () => {
  await simulator.close()
  await start({ maxMicroversion: '2.40' })
  const cloud = await enter()
  const { image } = await cloud.compute.createImage(server, 'old', {})
  expect(await cloud.image.getImage(image)).toMatchObject({ name: 'old' })
  expect(simulator.requests.filter(({ method, path }) => method === 'POST' && path.includes('action')).map(({ status }) => status)).toEqual([406, 202])
})

test('a cloud too old to show tags is asked for them once', async () => {
  await simulator.close()
  await start({ maxMicroversion: '2.25' })
  const cloud = await enter()
  expect(await cloud.compute.listServers()).toMatchObject([{ id: server, tags: undefined, metadata: {} }])
  expect(await cloud.compute.getServer(server)).toMatchObject({ id: server, tags: undefined })
  const asked = simulator.requests.filter(({ path }) => path.includes('/servers'))
  expect(asked.map(({ status, microversion }) => [status, microversion])).toEqual([[406, 'compute 2.26'], [200, undefined], [200, undefined]])
})

test('a server that no host has, or whose image is not known, says so', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', then: { body: { server: { id: server, name: 'x', status: 'BUILD', 'OS-EXT-STS:task_state': null, hostId: '', image: null } } } })
  expect(await cloud.compute.getServer(server)).toMatchObject({ host: undefined, image: undefined, tags: undefined, metadata: {}, volumes: [] })
})

test.each<[said: string, status: number, code: string]>([
  ["Cannot 'stop' instance X while it is in task_state image_uploading", 409, 'SERVER_BUSY'],
  ["Unexpected API Error. <class 'nova.exception.UnexpectedTaskStateError'>", 500, 'SERVER_BUSY'],
  ["Cannot 'stop' instance X while it is in vm_state error", 409, 'SERVER_STATE'],
  ['Instance X is locked', 409, 'SERVER_LOCKED'],
  ['Instance X is not ready', 409, 'SERVER_STATE'],
  ["Instance X is in an invalid state for 'stop'", 409, 'SERVER_STATE'],
  ['Instance X could not be found.', 404, 'SERVER_NOT_FOUND'],
  ["Policy doesn't allow os_compute_api:servers:stop to be performed.", 403, 'FORBIDDEN'],
  ['Unexpected API Error.', 500, 'CLOUD_ERROR'],
])('stopping and starting: "%s" (%i) is %s, and is not asked again', async (message, status, code) => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', method: 'POST', then: { status, body: { fault: { code: status, message } } } })
  for (const change of [cloud.compute.stopServer(server), cloud.compute.startServer(server)]) {
    await expect(change).rejects.toMatchObject({ code, requestId: expect.stringMatching(/^req-/) as unknown })
  }
  expect(count('POST', /action/)).toBe(2)
})

test('a stop whose answer is lost is an error, and is not asked again', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', method: 'POST', then: 'lose-answer' })
  await expect(cloud.compute.stopServer(server)).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  expect(simulator.servers()).toMatchObject([{ taskState: 'powering-off' }])
  expect(count('POST', /action/)).toBe(1)
})

const wanted = { name: 'web-2', image: '11111111-1111-4111-8111-111111111111', flavor: 'lab.tiny', networks: undefined, keyName: undefined, availabilityZone: undefined, securityGroups: [], volumes: [] } as const

test.each<[said: string, status: number, code: string, words: RegExp]>([
  ['Quota exceeded for instances: Requested 1, but already used 1 of 1 instances', 403, 'RESTORE_REFUSED', /^The (new server|rebuild) was refused, and (none was made|nothing was overwritten)\. Nova says: Quota exceeded/],
  ['Only volume-backed servers are allowed for flavors with zero disk.', 403, 'RESTORE_REFUSED', /Nova says: Only volume-backed/],
  ["Policy doesn't allow os_compute_api:servers:create to be performed.", 403, 'FORBIDDEN', /^The credentials may not (make|rebuild) servers; they need the role member\. Nova says: Policy/],
  ['Invalid key_name provided.', 400, 'RESTORE_REFUSED', /Nova says: Invalid key_name provided\.$/],
  ['Multiple possible networks found, use a Network ID to be more specific.', 409, 'RESTORE_REFUSED', /Nova says: Multiple/],
  ['Version 2.67 is not supported by the API.', 406, 'RESTORE_REFUSED', /Nova says: Version 2\.67/],
  ['Unexpected API Error.', 500, 'ANSWER_LOST', /^The (new server|rebuild) may have (been made|begun) all the same\. /],
])('restoring: "%s" (%i) is %s, and is not asked again', async (message, status, code, words) => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', method: 'POST', then: { status, body: { fault: { code: status, message } } } })
  for (const asking of [cloud.compute.createServer(wanted), cloud.compute.rebuildServer(server, wanted.image)]) {
    await expect(asking).rejects.toMatchObject({ code, message: expect.stringMatching(words) as unknown, requestId: expect.stringMatching(/^req-/) as unknown })
  }
  expect(count('POST', /servers/)).toBe(2)
})

test('restoring: a server of which Nova does not say which it is may have been made', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', method: 'POST', then: { status: 202, body: { server: {} } } })
  await expect(cloud.compute.createServer(wanted)).rejects.toMatchObject({ code: 'ANSWER_LOST', message: 'Nova accepted the request for a server, but did not say which it makes.' })
})

test('restoring: a cloud that is not there made nothing', async () => {
  const cloud = await enter({}, { compute_endpoint_override: 'http://127.0.0.1:1/v2.1' })
  await expect(cloud.compute.createServer(wanted)).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
})

test('a quota of -1 is none', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', path: /limits/, then: { body: { limits: { absolute: { maxTotalInstances: -1, totalInstancesUsed: 3, maxTotalCores: 0, totalCoresUsed: 3, maxTotalRAMSize: 64, totalRAMUsed: 3 } } } } })
  expect(await cloud.compute.getQuotas()).toEqual({ instances: { limit: undefined, used: 3 }, cores: { limit: 0, used: 3 }, ramMiB: { limit: 64, used: 3 } })
  expect(await cloud.blockStorage.getQuotas()).toMatchObject({ snapshots: { limit: undefined, used: 0 } })
})

test('a server is looked at with its flavor, lock, devices and fault, as far as Nova tells', async () => {
  const cloud = await enter()
  const shown = { id: server, name: 'x', status: 'ERROR', 'OS-EXT-STS:task_state': null, 'os-extended-volumes:volumes_attached': [{ id: 'v-1' }, { id: 'v-2' }], fault: { code: 500, message: 'No valid host was found.' }, flavor: { original_name: 'gone' } }
  simulator.fault({ service: 'compute', path: /os-volume_attachments/, times: 1, then: { body: { volumeAttachments: [{ volumeId: 'v-1', device: '/dev/vda' }, { volumeId: 'v-2', device: null }] } } })
  const shows = simulator.fault({ service: 'compute', path: new RegExp(`servers/${server}$`), then: { body: { server: shown } } })
  expect(await cloud.compute.inspectServer(server)).toMatchObject({ flavor: undefined, locked: false, fault: 'No valid host was found.', devices: { 'v-1': '/dev/vda' }, volumes: ['v-1', 'v-2'] })
  simulator.fault({ service: 'compute', path: /os-volume_attachments/, times: 1, then: { status: 404 } })
  expect(await cloud.compute.inspectServer(server)).toMatchObject({ devices: {} })
  shows()
  expect(await cloud.compute.inspectServer(server)).toMatchObject({ flavor: 'lab.tiny', locked: false, fault: undefined, devices: {} })
  expect(await cloud.compute.inspectServer('00000000-0000-4000-8000-000000000000')).toBeUndefined()
})

test('members: what is so already is done, and every other refusal is an error', async () => {
  const cloud = await enter()
  const { id } = simulator.addImage({ id: cloud.project, name: 'alpha' }, { name: 'shared', visibility: 'shared' })
  simulator.fault({ service: 'image', method: 'POST', path: /members/, times: 1, then: { status: 413, body: '<h1>413</h1>The limit has been exceeded on the number of allowed image members for this image. Attempted: 129, Maximum: 128<br />' } })
  await expect(cloud.image.addMember(id, 'p')).rejects.toMatchObject({ message: expect.stringContaining('Maximum: 128') as unknown })
  simulator.fault({ service: 'image', method: 'DELETE', path: /members/, times: 1, then: { status: 403 } })
  await expect(cloud.image.removeMember(id, 'p')).rejects.toMatchObject({ code: 'FORBIDDEN' })
  for (const then of ['lose-answer', { status: 503 }] as const) {
    simulator.fault({ service: 'image', method: 'POST', path: /members/, times: 1, then })
    await expect(cloud.image.addMember(id, 'p')).rejects.toMatchObject({ code: expect.stringMatching(/^CLOUD_/) as unknown })
  }
})

test('a redirect is not followed: no token travels to another host', async () => {
  const visitors: unknown[] = []
  const elsewhere = createServer((request, response) => {
    visitors.push(request.headers)
    response.end('{}')
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`
  const cloud = await enter()
  simulator.fault({ service: 'image', then: { status: 302, headers: { Location: url } } })
  await expect(cloud.image.getImage(simulator.baseImageId)).rejects.toMatchObject({ code: 'ANSWER_INVALID' })

  simulator.fault({ service: 'compute', then: { status: 200, body: { servers: [], servers_links: [{ rel: 'next', href: `${url}servers/detail?marker=x` }] } } })
  await expect(cloud.compute.listServers()).rejects.toMatchObject({ code: 'ANSWER_INVALID', message: expect.stringContaining('does not end') as unknown })
  expect(visitors).toEqual([])
  elsewhere.close()
})

test('case 43: listings go to the end, however small the pages are', async () => {
  await simulator.close()
  await start({ imagePageLimit: 7, serverPageLimit: 7 })
  const cloud = await enter()
  const project = { id: cloud.project, name: 'alpha' }
  for (let n = 0; n < 30; n += 1) {
    simulator.addServer(project, { name: `s-${n}` })
    simulator.addImage(project, { name: `i-${n}`, properties: { mark: 'x' } })
  }
  expect(await cloud.compute.listServers()).toHaveLength(31)
  expect(await cloud.image.listImages({ owner: cloud.project, properties: { mark: 'x' } })).toHaveLength(30)
  expect(count('GET', /images\?/)).toBe(5)
})

test('case 44: a listing whose marker was deleted meanwhile begins anew', async () => {
  await simulator.close()
  await start({ imagePageLimit: 10 })
  const cloud = await enter()
  const project = { id: cloud.project, name: 'alpha' }
  for (let n = 0; n < 25; n += 1) simulator.addImage(project, { name: `i-${n}`, properties: { mark: 'x' } })
  simulator.fault({ service: 'image', path: /marker=/, times: 1, then: { status: 400, body: '<html><body><h1>400 Bad Request</h1> No image found with ID 6f0075e1-0000-4000-8000-000000000000<br /></body></html>' } })
  expect(await cloud.image.listImages({ owner: cloud.project, properties: { mark: 'x' } })).toHaveLength(25)
})

test('nothing is begun when no time is left', async () => {
  const cloud = await enter({ timeLeftMs: () => 60_000 })
  const hurried = await enter({ timeLeftMs: () => (simulator.requests.length > 2 ? 9_000 : 60_000) })
  await hurried.compute.listServers()
  await expect(hurried.compute.listServers()).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE', message: 'Listing servers was not begun: no time is left in this invocation.' })
  await expect(hurried.compute.createImage(server, 'x', {})).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  expect(await cloud.compute.listServers()).toHaveLength(1)
})

test('a request that hangs ends with the time that is left', async () => {
  const cloud = await enter({ timeLeftMs: () => 10_200 })
  simulator.fault({ service: 'compute', then: 'hang' })
  const began = Date.now()
  await expect(cloud.compute.createImage(server, 'x', {})).rejects.toMatchObject({ code: 'ANSWER_LOST', message: expect.stringContaining('no answer within 0 s') as unknown })
  expect(Date.now() - began).toBeLessThan(5000)
})

test('a private certificate authority is trusted when it is given, and nothing else is', async () => {
  // A certificate of nobody's for 127.0.0.1, with a key that guards nothing.
  const [key, cert] = ['key', 'certificate'].map((name) => readFileSync(new URL(`../support/tls/${name}.pem`, import.meta.url), 'utf8')) as [string, string]
  await simulator.close()
  await start({ tls: { key, cert } })
  expect((await enter({}, { cacert: cert })).project).toBeDefined()
  await expect(enter()).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE', message: expect.stringMatching(/SELF_SIGNED_CERT/) as unknown })
})

test('no secret and no token is in any error, nor in what it carries', async () => {
  const cloud = await enter()
  simulator.fault({ service: 'compute', then: 'reset' })
  simulator.fault({ service: 'image', then: { status: 500 } })
  const errors = await Promise.all([
    cloud.compute.listServers().catch((error: unknown) => error),
    cloud.image.getImage(server).catch((error: unknown) => error),
    enter({}, { auth: { ...entry.auth, application_credential_id: 'f'.repeat(32) } }).catch((error: unknown) => error),
  ])
  const everything = JSON.stringify(errors, (_, value: unknown) => (value instanceof Error ? { ...value, message: value.message, stack: value.stack, cause: value.cause } : value))
  expect(everything).not.toContain('alpha-secret')
  expect(everything).not.toMatch(/X-Auth-Token|gAAAA/i)
  expect(everything.length).toBeGreaterThan(500)
})
