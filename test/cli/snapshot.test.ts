import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ServerSeed } from '../../demo/openstack/simulator.ts'
import { useDesk } from '../support/cli.ts'

const desk = useDesk()
const add = (seed: Partial<ServerSeed> = {}) => desk.world.openstack.addServer(desk.world.project, { name: 'web-1', ...seed }).id
const pass = (seconds: number) => desk.world.setClock(new Date(desk.world.clock().getTime() + seconds * 1000))
const images = () => desk.world.openstack.images().filter(({ properties }) => properties['scheduled_images__run'] !== undefined).map(({ name }) => name)
const start = 'INFO: Start OpenStack snapshot creation.'
const pending = 'SUCCESS: Backup image created and pending upload.'
const good = 'SUCCESS: Backup image created, and good.'

/** OpenStack's metadata service, as it says which server a machine is. */
let metadata: Server
let told: unknown
beforeAll(async () => {
  metadata = createServer((request, response) => {
    response.statusCode = request.url === '/openstack/latest/meta_data.json' && told !== undefined ? 200 : 404
    response.end(JSON.stringify(told ?? {}))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => metadata.once('listening', resolve))
})
afterAll(() => metadata.close())
const within = () => ({ SCHEDULED_IMAGES_METADATA_URL: `http://127.0.0.1:${(metadata.address() as AddressInfo).port}` })

test('an image is asked for, and create_snapshot.sh\'s words say so', async () => {
  add()
  const { code, out } = await desk.run(['snapshot', 'web-1'])
  expect({ code, out: out.split('\n') }).toEqual({ code: 0, out: [start, pending, expect.stringMatching(/^INFO: The image is Manual-web-1-1793491200 \([0-9a-f-]{36}\)\.$/)] })
  expect(images()).toEqual(['Manual-web-1-1793491200'])
})

test('an image of volumes is waited for until its volume snapshots are there', async () => {
  add({ volumeBacked: true })
  const { out } = await desk.run(['snapshot', '--wait', 'web-1'], { onProgress: () => pass(3) })
  expect(out.split('\n')).toContain(good)
})

test('--wait shows the progress, and ends with a good image and the rotation done', async () => {
  add({ metadata: { lab_delay: '10', lab_upload: '10' } })
  const lines: string[] = []
  const onProgress = (line: string) => {
    lines.push(line)
    pass(3)
  }
  for (let n = 1; n <= 3; n += 1) {
    expect(await desk.run(['snapshot', '--rotation', '2', '--wait', 'web-1'], { onProgress })).toMatchObject({ code: 0, out: expect.stringContaining(`${pending}\n${good}\n`) as string })
    pass(60)
  }
  expect(images()).toHaveLength(2)
  expect(lines[0]).toBe('Manual-web-1-1793491200: queued, the disk is being copied, 0:00')
  expect(lines.filter((line) => /^Manual-web-1-\d+: saving, the image is being uploaded, 0:\d\d$/.test(line)).length).toBeGreaterThan(2)
})

test('Ctrl-C while it waits leaves the image in the making, and says where to look', async () => {
  add({ metadata: { lab_delay: '600' } })
  const interruption = new AbortController()
  const { code, err, out } = await desk.run(['snapshot', '--wait', 'web-1'], { interrupted: interruption.signal, onProgress: () => interruption.abort() })
  expect(code).toBe(130)
  expect(out).toContain(pending)
  expect(err.split('\n').at(-1)).toBe('The image goes on being made; scheduled-images history web-1 shows what becomes of it.')
  expect(images()).toHaveLength(1)
})

test('Ctrl-C while the image is asked for says that this is finished, and how to leave at once', async () => {
  add()
  const interruption = new AbortController()
  desk.world.openstack.fault({ service: 'compute', path: /action/, then: { delayMs: 100 } })
  const running = desk.run(['snapshot', '--wait', 'web-1'], { interrupted: interruption.signal })
  while (!desk.world.openstack.requests.some(({ path }) => path.endsWith('/action'))) await new Promise((resolve) => setTimeout(resolve, 5))
  interruption.abort()
  const { code, err } = await running
  expect(code).toBe(130)
  expect(err.split('\n').filter((line) => !/ INFO | DEBUG /.test(line))).toEqual([
    'Interrupted: nothing more is begun, and what is begun is finished. Press Ctrl-C again to leave at once.',
    'The image goes on being made; scheduled-images history web-1 shows what becomes of it.',
  ])
  expect(images()).toHaveLength(1)
})

test('Ctrl-C before the claim asks for nothing', async () => {
  add()
  const interruption = new AbortController()
  desk.world.openstack.fault({ service: 'compute', path: /servers\/detail/, then: { delayMs: 50 } })
  setTimeout(() => interruption.abort(), 20)
  expect(await desk.run(['snapshot', 'web-1'], { interrupted: interruption.signal })).toMatchObject({ code: 130, err: 'Interrupted. No image was asked for.' })
  expect(images()).toEqual([])
})

test('-o json prints the run alone', async () => {
  const server = add()
  const { out } = await desk.run(['snapshot', '--type', 'before-upgrade', '-o', 'json', 'web-1'])
  expect(JSON.parse(out)).toMatchObject({ server, serverName: 'web-1', schedule: `manual/before-upgrade-${server}`, status: 'saving', imageName: 'Before-upgrade-web-1-1793491200' })
})

test('--dry-run asks for nothing', async () => {
  const server = add()
  expect(await desk.run(['snapshot', '--dry-run', 'web-1'])).toMatchObject({ code: 0, out: `${start}\nINFO: Dry run: no image was asked for.`, err: expect.stringContaining('dry run: would start Manual-web-1-1793491200') as string })
  expect(JSON.parse((await desk.run(['snapshot', '--dry-run', '--rotation', '3', '-o', 'json', 'web-1'])).out)).toMatchObject({ dryRun: true, schedule: `manual/manual-${server}`, keep: { last: 3 } })
  expect(images()).toEqual([])
})

test.each<[sentence: string, spoil: (id: string) => void, err: string]>([
  ['a busy server', (id) => desk.world.openstack.setServer(id, { taskState: 'rebuilding' }), 'ERROR (SERVER_BUSY): Server "web-1" is busy (rebuilding); try again when it is not.'],
  ['a server in a state without images', (id) => desk.world.openstack.setServer(id, { status: 'ERROR' }), 'ERROR (SERVER_STATE): Server "web-1" is in state ERROR'],
  ['a cloud that has no room', () => desk.world.openstack.setQuotas(desk.world.project, { imageQuota: 0 }), 'ERROR (QUOTA_IMAGES): '],
  ['a cloud that is down', () => desk.world.openstack.fault({ service: 'identity', then: 'reset' }), 'ERROR (CLOUD_UNREACHABLE): '],
  ['a cloud that knows the credentials no more', () => desk.world.openstack.fault({ service: 'identity', then: { status: 401 } }), 'ERROR (CLOUD_AUTH_FAILED): '],
])('of %s no image is made, and a sentence says why', async (_sentence, spoil, err) => {
  spoil(add())
  const ran = await desk.run(['snapshot', 'web-1'])
  expect(ran).toMatchObject({ code: 1, out: start })
  expect(ran.err.split('\n').at(-1)).toContain(err)
  expect(images()).toEqual([])
})

test('an image that fails while somebody waits ends in an error', async () => {
  add({ metadata: { lab_fail: 'snapshot' } })
  const { code, out, err } = await desk.run(['snapshot', '--wait', 'web-1'], { onProgress: () => pass(3) })
  expect({ code, out }).toEqual({ code: 1, out: `${start}\n${pending}` })
  expect(err.split('\n').at(-1)).toMatch(/^ERROR \(IMAGE_GONE\): Image [0-9a-f-]+ is gone/)
})

test.each<[args: string[], says: string]>([
  [['--rotation', '0'], 'It must be a whole number from 1 to 65535.'],
  [['--rotation', '65536'], 'It must be a whole number from 1 to 65535.'],
  [['--rotation', 'many'], 'It must be a whole number from 1 to 65535.'],
  [['--type', 'Before Upgrade'], 'It must be 1 to 64 lower-case letters'],
  [['--weit'], 'unknown option'],
])('%j is wrong usage', async (args, says) => {
  expect(await desk.run(['snapshot', ...args, 'web-1'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining(says) as string })
})

test('without a server, the metadata service tells which one this machine is', async () => {
  add({ name: 'other' })
  told = { uuid: add().toUpperCase(), name: 'web-1' }
  expect(await desk.run(['snapshot'], { env: within() })).toMatchObject({ code: 0 })
  expect(images()).toEqual(['Manual-web-1-1793491200'])
})

test('a machine of another project is not snapshotted by its UUID alone', async () => {
  told = { uuid: '00000000-0000-4000-8000-000000000001' }
  const { code, err } = await desk.run(['snapshot'], { env: within() })
  expect({ code, err }).toEqual({ code: 1, err: 'ERROR (SERVER_NOT_FOUND): This machine is server 00000000-0000-4000-8000-000000000001, as the metadata service says, and the project of cloud "default" has no such server. Give the credentials of its own project, or the server that is meant.' })
})

test('the same on a deployed stage, with the event that an image was begun', async () => {
  add()
  expect(await desk.runDeployed(['--stage', 'local', 'snapshot', 'web-1'])).toMatchObject({ code: 0, out: expect.stringContaining(pending) as string })
  expect(desk.world.aws.events.map(({ type }) => type)).toEqual(['Scheduled Image Started'])
})
