import { expect, test } from 'vitest'
import { openDirectory } from '../../lib/installation.ts'
import { useDesk } from '../support/cli.ts'

const desk = useDesk()
const addServer = (name = 'web-1') => desk.world.openstack.addServer(desk.world.project, { name }).id
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const items = () => openDirectory(desk.directory, { dryRun: false }, { env: {}, clock: desk.world.clock, log: silent }).ports.schedules

test('enable, show and disable say what nova said', async () => {
  const id = addServer()
  expect(await desk.run(['enable', 'web-1', '7'])).toMatchObject({ code: 0, out: '' })
  expect(await desk.run(['show', 'web-1'])).toEqual({ code: 0, out: 'Schedule type: Daily\nRetention: 7', err: '' })
  expect(await desk.run(['enable', '--day-of-week', 'saturday', id, '8'])).toMatchObject({ code: 0, out: '' })
  expect(await desk.run(['show', id])).toEqual({ code: 0, out: 'Schedule type: Weekly on: SATURDAY\nRetention: 8', err: '' })
  expect(await desk.run(['disable', 'web-1'])).toEqual({ code: 0, out: '', err: `Scheduled images of web-1 are disabled: weekly/${id}. The images stay, and nothing deletes them any more.` })
  const gone = { code: 1, out: '', err: `ERROR (NotFound): Scheduled images not enabled for server ${id} (HTTP 404)` }
  expect(await desk.run(['show', 'web-1'])).toEqual(gone)
  expect(await desk.run(['disable', id])).toEqual(gone)
})

test('as JSON, enable prints the item, and disable what it took away', async () => {
  const id = addServer()
  const item = { cadence: 'daily', schedule: id, server: id, cloud: 'default', retention: 7 }
  expect(JSON.parse((await desk.run(['-o', 'json', 'enable', 'web-1', '7'])).out)).toEqual([item])
  expect(JSON.parse((await desk.run(['-o', 'json', 'show', 'web-1'])).out)).toEqual([item])
  expect(JSON.parse((await desk.run(['-o', 'json', 'disable', 'web-1'])).out)).toEqual({ disabled: [`daily/${id}`] })
})

test('a server has one schedule: a new cadence takes the place of the old, adopts its images, and a re-enable without a day makes it daily', async () => {
  const id = addServer()
  await desk.run(['enable', '--day-of-week', 'SUNDAY', '--at', '03:30', 'web-1', '4'])
  await desk.run(['enable', 'web-1', '5'])
  expect(await items().get({ cadence: 'weekly', name: id })).toBeUndefined()
  expect(await items().get({ cadence: 'daily', name: id })).toEqual({
    cadence: 'daily', schedule: id, server: id, cloud: 'default', at: '03:30', retention: 5, adopts: [`weekly/${id}`],
  })
  await desk.run(['enable', '--day-of-week', 'monday', 'web-1', '6'])
  expect(await items().get({ cadence: 'weekly', name: id })).toMatchObject({ dayOfWeek: 'monday', retention: 6, adopts: [`daily/${id}`] })
})

test('another retention changes nothing else that the item says', async () => {
  const id = addServer()
  await desk.run(['enable', '--time-zone', 'Europe/Stockholm', '--at', '02:00', 'web-1', '4'])
  await items().edit({ cadence: 'daily', name: id }, { shareWith: ['b41cef31000040008000000000000001'], keep: { last: 2 }, retention: undefined })
  await items().writeState({ cadence: 'daily', name: id }, { since: '2026-11-01T00:00:00.000Z' })
  await desk.run(['enable', 'web-1', '9'])
  expect(await items().get({ cadence: 'daily', name: id })).toEqual({
    cadence: 'daily', schedule: id, server: id, cloud: 'default', at: '02:00', timeZone: 'Europe/Stockholm', retention: 9,
    shareWith: ['b41cef31000040008000000000000001'], state: { since: '2026-11-01T00:00:00.000Z' },
  })
})

test('what is interrupted between the new schedule and the old ends with one when it is asked again', async () => {
  const id = addServer()
  await desk.run(['enable', '--day-of-week', 'sunday', 'web-1', '4'])
  await items().create({ cadence: 'daily', schedule: id, server: id, retention: 5, adopts: [`weekly/${id}`] })
  await desk.run(['enable', 'web-1', '5'])
  expect(await items().get({ cadence: 'weekly', name: id })).toBeUndefined()
  expect(await items().get({ cadence: 'daily', name: id })).toMatchObject({ retention: 5, adopts: [`weekly/${id}`] })
})

test('the images of a schedule that has to go are adopted by one that is there already', async () => {
  const id = addServer()
  await desk.run(['enable', 'web-1', '5'])
  await items().create({ cadence: 'weekly', schedule: id, server: id, dayOfWeek: 'sunday', retention: 4, adopts: [`daily/${id}`, `monthly/${id}`] })
  await desk.run(['enable', 'web-1', '5'])
  expect(await items().get({ cadence: 'weekly', name: id })).toBeUndefined()
  expect(await items().get({ cadence: 'daily', name: id })).toMatchObject({ retention: 5, adopts: [`monthly/${id}`, `weekly/${id}`] })
})

test('--now makes the first image at the next tick', async () => {
  addServer()
  const { err } = await desk.run(['enable', '--now', 'web-1', '1'])
  expect(err).toContain('The first one starts at the next tick.')
  expect((await desk.run(['run', 'daily'])).out).toBe('daily: 1 schedules, 1 started')
})

test.each<[args: string[], code: number, err: string]>([
  [['enable', '--day-of-week', 'someday', 'web-1', '7'], 1, "ERROR (BadRequest): Day_of_week value must be a string in ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] (HTTP 400)"],
  [['enable', 'web-1', '0'], 1, 'ERROR (BadRequest): The retention value 0 is not allowed. It must be greater than 0 (HTTP 400)'],
  [['enable', 'web-1', '65536'], 1, 'ERROR (BadRequest): The retention value 65536 is not allowed. It cannot exceed 65535 (HTTP 400)'],
  [['enable', 'web-1', 'seven'], 2, "error: command-argument value 'seven' is invalid for argument 'retention'. It must be a whole number."],
  [['enable', 'web-1'], 2, "error: missing required argument 'retention'"],
  [['enable', 'nobody', '7'], 1, 'ERROR (SERVER_NOT_FOUND): No server with a name or ID of "nobody" exists.'],
  [['enable', '47c3f6b0-0000-4000-8000-000000000001', '7'], 1, 'ERROR (SERVER_NOT_FOUND): No server with a name or ID of "47c3f6b0-0000-4000-8000-000000000001" exists.'],
  [['enable', '--at', '25:00', 'web-1', '7'], 1, 'ERROR (SCHEDULE_INVALID): The schedule would not be valid, and nothing was changed: at must be a local time of day as HH:MM, 00:00 to 23:59, not "25:00".'],
  [['enable', '--cadence', 'hourly', 'web-1', '7'], 2, "argument 'hourly' is invalid. It must be one of daily, weekly, monthly, yearly, custom."],
  [['enable', '--consistency', 'quisced', 'web-1', '7'], 2, 'It must be one of live, quiesced, stopped. Did you mean "quiesced"?'],
  [['enable', '--cadence', 'custom', 'web-1', '7'], 1, 'cron is required for custom'],
])('%j is refused, and changes nothing', async (args, code, err) => {
  addServer()
  const ran = await desk.run(args)
  expect(ran).toMatchObject({ code, out: '' })
  expect(ran.err).toContain(err)
  expect((await desk.run(['list', '-o', 'json'])).out).toBe('[]')
})

test('of two servers with one name neither is guessed', async () => {
  const ids = [addServer(), addServer()]
  const { code, err } = await desk.run(['enable', 'web-1', '7'])
  expect(code).toBe(1)
  for (const id of ids) expect(err).toContain(id)
})

test('a deleted server is disabled by its UUID, without a cloud', async () => {
  const id = addServer()
  await desk.run(['enable', 'web-1', '7'])
  desk.world.openstack.remove(id)
  const before = desk.world.openstack.requests.length
  expect(await desk.run(['disable', id])).toMatchObject({ code: 0, out: '' })
  expect(desk.world.openstack.requests).toHaveLength(before)
})

test('the same commands work on a deployed stage', async () => {
  addServer()
  expect(await desk.runDeployed(['enable', 'web-1', '7'])).toMatchObject({ code: 0, out: '' })
  expect(await desk.world.schedules()).toMatchObject([{ cadence: 'daily', retention: 7 }])
  expect((await desk.runDeployed(['show', 'web-1'])).out).toBe('Schedule type: Daily\nRetention: 7')
  await desk.runDeployed(['enable', '--day-of-week', 'friday', 'web-1', '3'])
  expect(await desk.world.schedules()).toMatchObject([{ cadence: 'weekly', dayOfWeek: 'friday', retention: 3 }])
  await desk.runDeployed(['disable', 'web-1'])
  expect(await desk.world.schedules()).toEqual([])
})

test("a set of DynamoDB's is a list in JSON", async () => {
  const id = addServer()
  await desk.world.putSchedule({ cadence: 'daily', schedule: id, server: id, retention: 7, shareWith: new Set(['b41cef31000040008000000000000001']) })
  expect(JSON.parse((await desk.runDeployed(['-o', 'json', 'show', id])).out)).toMatchObject([{ shareWith: ['b41cef31000040008000000000000001'] }])
})
