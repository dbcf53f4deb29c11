import { expect, test } from 'vitest'
import { openDirectory } from '../../lib/installation.ts'
import { useDesk } from '../support/cli.ts'

const desk = useDesk({ snapshotSeconds: { saving: 1, active: 5, idle: 6 } })
const addServer = (name: string) => desk.world.openstack.addServer(desk.world.project, { name }).id
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const put = (item: Record<string, unknown>) => openDirectory(desk.directory, { dryRun: false }, { env: {}, clock: desk.world.clock, log: silent }).ports.schedules.create(item)
const ticks = async (...instants: string[]) => {
  for (const at of instants) {
    desk.world.setClock(at)
    await desk.run(['run', 'all'])
  }
}

test('an empty table says how to fill it', async () => {
  expect(await desk.run(['list'])).toEqual({ code: 0, out: 'There are no schedules. scheduled-images enable SERVER RETENTION makes one.', err: '' })
  expect(await desk.run(['next'])).toMatchObject({ code: 0, out: 'No schedule is valid and enabled, so nothing comes.' })
})

test('list shows each schedule with its last good image, its next run and its problem', async () => {
  const id = addServer('web-1')
  await desk.run(['enable', '--now', 'web-1', '2'])
  await put({ cadence: 'weekly', schedule: 'lost', server: 'nobody', dayOfWeek: 'sunday', retention: 1, onEnable: 'now' })
  await put({ cadence: 'daily', schedule: 'off', server: 'web-1', keep: { last: 1, weekly: 3 }, enabled: false })
  await put({ cadence: 'daily', schedule: 'typo', server: 'web-1', retension: 1 })
  await put({ cadence: 'monthly', schedule: 'fleet', selector: { tags: ['nightly'], metadata: { tier: 'gold' } }, retention: 3 })
  await ticks('2026-11-01T00:30Z', '2026-11-01T00:45Z')
  const { out } = await desk.run(['list'])
  const row = (key: string) => out.split('\n').find((line) => line.startsWith(`${key} `))?.split(/ {2,}/)
  expect(row(`daily/${id}`)).toEqual([`daily/${id}`, 'web-1', 'daily at 01:00 UTC', 'the last 2', '2026-11-01 00:30 UTC', expect.stringMatching(/^2026-11-01 01:\d\d UTC$/)])
  expect(row('daily/off')).toEqual(['daily/off', 'web-1', 'daily at 01:00 UTC', 'the last 1, 3 weekly', '-', 'disabled'])
  expect(row('daily/typo')).toEqual(['daily/typo', '-', 'invalid', '-', '-', '-'])
  expect(row('monthly/fleet')?.slice(0, 3)).toEqual(['monthly/fleet', 'tag nightly and tier=gold', 'monthly on day 1 at 01:00 UTC'])
  expect(out).toContain('\nweekly/lost: No server is named "nobody"')
  expect(out).toContain('\ndaily/typo: "retension" is not an attribute that this version knows; did you mean "retention"?')
  const json = JSON.parse((await desk.run(['list', '-o', 'json'])).out) as Record<string, unknown>[]
  expect(json.find(({ schedule }) => schedule === `daily/${id}`)).toMatchObject({ valid: true, serverName: 'web-1', lastGood: { period: '2026-10-31' } })
})

test('a table that is wider than the terminal is a block for each row', async () => {
  const id = addServer('web-1')
  await desk.run(['enable', 'web-1', '2'])
  await put({ cadence: 'daily', schedule: 'off', server: 'web-1', keep: { last: 1 }, enabled: false })
  const wide = await desk.run(['list'], { columns: 200 })
  expect(wide.out).toBe((await desk.run(['list'])).out)
  expect((await desk.run(['list'], { columns: 80 })).out).toBe([
    `SCHEDULE   daily/${id}`, `SERVER     ${id}`, 'WHEN       daily at 01:00 UTC', 'KEEPS      the last 2', 'LAST GOOD  -', 'NEXT       -',
    '',
    'SCHEDULE   daily/off', 'SERVER     web-1', 'WHEN       daily at 01:00 UTC', 'KEEPS      the last 1', 'LAST GOOD  -', 'NEXT       disabled',
  ].join('\n'))
})

test('list --without shows the servers that nothing covers', async () => {
  addServer('web-1')
  const tagged = desk.world.openstack.addServer(desk.world.project, { name: 'db-1', tags: ['nightly'] }).id
  const bare = addServer('forgotten')
  await desk.run(['enable', 'web-1', '2'])
  await put({ cadence: 'weekly', schedule: 'fleet', selector: { tags: ['nightly'] }, dayOfWeek: 'sunday', retention: 1 })
  const { out } = await desk.run(['list', '--without'])
  expect(out).toContain(bare)
  expect(out).not.toContain(tagged)
  expect(out.split('\n')).toHaveLength(2)
  await desk.run(['enable', 'forgotten', '2'])
  expect((await desk.run(['list', '--without'])).out).toBe('Each of the 3 servers has a schedule.')
})

test('next lists the runs of all schedules in order', async () => {
  addServer('web-1')
  await put({ cadence: 'daily', schedule: 'a', server: 'web-1', retention: 1, spread: 0, timeZone: 'Europe/Stockholm', at: '02:30' })
  await put({ cadence: 'custom', schedule: 'b', server: 'web-1', retention: 1, cron: '0 */12 * * *' })
  await put({ cadence: 'daily', schedule: 'off', server: 'web-1', retention: 1, enabled: false })
  desk.world.setClock('2026-10-24T12:30:00Z')
  const { out } = await desk.run(['next', '-n', '3'])
  expect(out.split('\n').slice(1).map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
    ['2026-10-25 00:00 UTC', '2026-10-25 00:00 +00:00', 'custom/b'],
    ['2026-10-25 00:30 UTC', '2026-10-25 02:30 +02:00', 'daily/a'],
    ['2026-10-25 12:00 UTC', '2026-10-25 12:00 +00:00', 'custom/b'],
  ])
  expect(await desk.run(['next', '-n', '0'])).toMatchObject({ code: 2 })
})

test('next names a server that its item gives by UUID, once it has run', async () => {
  const id = addServer('web-1')
  await desk.run(['enable', 'web-1', '1'])
  const servers = async () => (await desk.run(['next', '-n', '1'])).out.split('\n').slice(1).map((line) => line.split(/ {2,}/)[3])
  expect(await servers()).toEqual([id])
  await ticks('2026-11-01T00:15Z', '2026-11-02T02:00Z')
  expect(await servers()).toEqual(['web-1'])
})

test('history lists what became of each run, newest first', async () => {
  const id = addServer('web-1')
  await desk.run(['enable', '--now', 'web-1', '2'])
  await ticks('2026-11-01T00:00Z', '2026-11-01T00:15Z')
  desk.world.openstack.setServer(id, { status: 'ERROR' })
  await ticks('2026-11-01T02:00Z')
  const { out } = await desk.run(['history', 'web-1'])
  const rows = out.split('\n').slice(1).map((line) => line.split(/ {2,}/).slice(2))
  expect(rows).toEqual([
    ['2026-11-01', 'failed', '1', expect.stringContaining('is in state ERROR')],
    ['2026-10-31', 'good', '1', desk.world.openstack.images().find(({ owner }) => owner === desk.world.project.id)!.id],
  ])
  expect(JSON.parse((await desk.run(['history', id, '-o', 'json'])).out)).toMatchObject([{ status: 'failed', problem: { code: 'SERVER_STATE' } }, { status: 'good' }])
  expect((await desk.run(['history', '47c3f6b0-0000-4000-8000-000000000001'])).out).toBe('Nothing is remembered of 47c3f6b0-0000-4000-8000-000000000001.')
})
