import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { clearData, openData, simulatorFile, writeData } from '../../demo/data-directory.ts'
import { useDesk } from '../support/cli.ts'
import { day, enable, scheduled } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'

const desk = useDesk()
let data: string
let server: string

beforeEach(async () => {
  data = join(desk.directory, 'demo-data')
  const service = serviceIn(desk.world)
  server = (await scheduled(desk.world, 'web-1', {}, { retention: 2 })).id
  await enable(service)
  for (let n = 1; n <= 3; n += 1) for (const time of ['01:00:00', '01:15:00']) await service.tickAt(day(n, time))
  clearData(data)
  await writeData(data, desk.world)
})

/** On the cloud that was put away: the desk's own is asked nothing. */
const look = (...args: string[]) => desk.run(['--local', data, ...args])
const said = (time: string) => `The cloud in ${data} is the demo's, a simulated one. Its clock says ${time} UTC.`

/** What is in the cloud that was put away. */
async function kept() {
  const { openstack, close } = await openData(data)
  try {
    return { images: openstack.images().filter(({ name }) => name !== 'cirros-lab'), servers: openstack.servers() }
  } finally {
    await close()
  }
}

test('what the demo has left is looked at as at any directory, and whose cloud it is is said', async () => {
  const requests = desk.world.openstack.requests.length
  expect(await look('enable', 'web-1', '5')).toMatchObject({ code: 0, out: '', err: expect.stringContaining(`${said('2026-11-03 01:15')}\nScheduled images of web-1 are enabled`) as string })
  expect(await look('show', 'web-1')).toEqual({ code: 0, out: 'Schedule type: Daily\nRetention: 5', err: said('2026-11-03 01:15') })
  expect(await look('show', server)).toMatchObject({ code: 0 })
  expect(desk.world.openstack.requests).toHaveLength(requests)
  expect((await kept()).images).toEqual(desk.world.openstack.images().filter(({ name }) => name !== 'cirros-lab'))
})

test('its time goes on while a command waits, and until the cloud has come to rest', async () => {
  await look('enable', '--now', '--consistency', 'stopped', 'web-1', '5')
  const { code, err } = await desk.run(['--local', data, 'run', 'all'], { env: { SCHEDULED_IMAGES_DEMO_CLOCK: '2026-11-04T02:00:00Z' } })
  expect(code).toBe(0)
  expect(err).toMatch(/stopping server "web-1" for its image[^]*started Daily-web-1-[^]*starting server "web-1" again[^]*good: Daily-web-1-/)
  const { servers, images } = await kept()
  expect(servers).toMatchObject([{ id: server, status: 'ACTIVE', taskState: null }])
  expect(images.map(({ status }) => status)).toEqual(['active', 'active', 'active'])
})

test('credentials of a real cloud are not used for it', async () => {
  const real = await desk.run(['--local', data, 'enable', 'web-1', '5'], { env: { OS_CLOUD: 'production', OS_AUTH_URL: 'http://127.0.0.1:1' } })
  expect(real).toMatchObject({ code: 0 })
})

test('its secrets are for its owner alone', () => {
  expect(statSync(join(data, simulatorFile)).mode & 0o777).toBe(0o600)
})

test('any other directory has nothing to do with the demo', async () => {
  expect((await desk.run(['show', server])).err).not.toContain('simulated')
})

test.each([
  ['cut off', (file: Buffer) => file.subarray(0, 100)],
  ['of no kind', () => Buffer.from('{}')],
  ['empty', () => Buffer.alloc(0)],
])('a cloud that is %s is told of', async (_, damage) => {
  const file = join(data, simulatorFile)
  writeFileSync(file, damage(readFileSync(file)))
  expect(await look('show', 'web-1')).toEqual({
    code: 1, out: '', err: `ERROR (CONFIGURATION_INVALID): The simulated cloud in ${file} cannot be read: it is damaged, or of another version. Run npm run demo again.`,
  })
})

test.each([['backwards', '2026-11-02T00:00:00Z'], ['to no instant', 'tomorrow']])('its clock is not set %s', async (_, to) => {
  const { code, err } = await desk.run(['--local', data, 'show', 'web-1'], { env: { SCHEDULED_IMAGES_DEMO_CLOCK: to } })
  expect({ code, err }).toEqual({
    code: 1, err: `ERROR (CONFIGURATION_INVALID): The clock of ${data} can be set to an instant after 2026-11-03T01:15:00.000Z, such as 2026-11-04T01:15:00.000Z, and not to "${to}".`,
  })
})

test('a new demo takes the place of the one before, and of nothing else', async () => {
  writeFileSync(join(data, 'notes.txt'), 'mine')
  clearData(data)
  expect(existsSync(join(data, simulatorFile))).toBe(false)
  expect(readFileSync(join(data, 'notes.txt'), 'utf8')).toBe('mine')
  await writeData(data, desk.world)
  expect(await look('show', server)).toMatchObject({ code: 1, err: expect.stringContaining('not enabled') as string })

  await desk.run(['show', server])
  expect(() => clearData(desk.directory)).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: `${desk.directory} holds tables that no demo made, and they stay as they are. Name another directory with --data.` }) as Error)
  mkdirSync(join(desk.directory, 'x'))
  writeFileSync(join(desk.directory, 'x', 'file'), '')
  expect(() => clearData(join(desk.directory, 'x', 'file'))).toThrow(/^The directory \S+ cannot be used: /)
})
