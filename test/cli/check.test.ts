import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useDesk } from '../support/cli.ts'

const desk = useDesk({ now: '2026-11-21T08:30:00Z' })
const server = '47c3f6b0-0000-4000-8000-000000000001'

const since = '2026-11-01T00:30:00.000Z'
const good = (time: string) => ({ lastGood: { time: `${time}.000Z`, period: time.slice(0, 10), image: '00000000-0000-4000-8000-000000000001' } })
const put = (schedule: string, state: object, item: object = {}) => desk.world.putSchedule({ cadence: 'daily', schedule, server, retention: 3, spread: 0, state: { since, ...state }, ...item })
const weekly = { cadence: 'weekly', dayOfWeek: 'sunday' }
const check = (...args: string[]) => desk.runDeployed(['check', ...args])

test('all is well: one line and exit 0, weekly ones six days after their image too', async () => {
  await put('web-1', good('2026-11-21T01:00:05'))
  await put('web-2', good('2026-11-21T01:00:05'))
  await put('web-1', good('2026-11-15T01:00:05'), weekly)
  expect(await check()).toEqual({ code: 0, out: 'OK: 3 schedules are fresh | fresh=3 new=0 late=0 overdue=0 invalid=0 disabled=0', err: '' })
})

test('what is being made, has not begun or is disabled is told of, and is no fault', async () => {
  await put('web-1', good('2026-11-21T01:00:05'))
  await put('noon', good('2026-11-20T08:00:05'), { at: '08:00' })
  await desk.world.putSchedule({ cadence: 'daily', schedule: 'unseen', server, retention: 3 })
  await put('off', {}, { enabled: false })
  expect(await check()).toMatchObject({ code: 0, out: 'OK: 1 schedule is fresh, 1 is late and still in time, 1 is new | fresh=1 new=1 late=1 overdue=0 invalid=0 disabled=1' })
})

test('an overdue schedule is critical, with its last good image, its age and the problem', async () => {
  for (const n of [2, 3, 4]) await put(`web-${n}`, good('2026-11-21T01:00:05'))
  await put('web-1', { ...good('2026-11-18T01:00:05'), problem: 'No server is named "web-1" | sorry.' })
  const told = 'overdue since 2026-11-19 07:00 UTC, last good 2026-11-18 01:00 UTC, 3 days ago: No server is named "web-1" / sorry.'
  expect(await check()).toEqual({
    code: 2,
    out: `CRITICAL: 1 of 4 schedules is overdue: daily/web-1 (${told}) | fresh=3 new=0 late=0 overdue=1 invalid=0 disabled=0\nCRITICAL daily/web-1: ${told}`,
    err: '',
  })
})

test('the examples of monitoring.md are what it says', async () => {
  const page = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
  await put('web-1', { ...good('2026-11-18T01:00:05'), problem: 'Server "web-1" is in state ERROR, in which OpenStack makes no image; it has to be ACTIVE, SHUTOFF, PAUSED or SUSPENDED.' })
  for (const n of [2, 3, 4]) await put(`web-${n}`, good('2026-11-21T01:00:05'))
  expect(page).toContain((await check()).out)
  for (let n = 1; n <= 12; n += 1) await put(`web-${n}`, good('2026-11-21T01:00:05'))
  expect(page).toContain((await check()).out)
})

test('--critical-after leaves an overdue schedule a warning for so long', async () => {
  await put('web-1', good('2026-11-18T01:00:05'))
  const overdueFor = '49h'
  expect((await check('--critical-after', overdueFor)).code).toBe(2)
  expect((await check('--critical-after', '2d')).code).toBe(2)
  expect(await check('--critical-after', '3d')).toMatchObject({ code: 1, out: expect.stringMatching(/^WARNING: 1 of 1 schedule is overdue: daily\/web-1 \(overdue since 2026-11-19 07:00 UTC, last good 2026-11-18 01:00 UTC, 3 days ago: The schedule tells of no problem; do the functions run\?\) \|/) as unknown })
  desk.world.setClock('2026-11-19T08:29:59Z')
  expect((await check('--critical-after', '90m')).code).toBe(1)
  desk.world.setClock('2026-11-19T08:30:00Z')
  expect((await check('--critical-after', '90m')).code).toBe(2)
})

test('an invalid item is critical; a problem or a missing server of a fresh schedule is a warning; the worst comes first', async () => {
  await put('a', { ...good('2026-11-21T01:00:05'), problem: 'Server "a" is busy (image_snapshot); the image waits for it.' })
  await put('b', { ...good('2026-11-15T01:00:05'), missingSince: '2026-11-20T12:00:00.000Z' }, weekly)
  await put('c', good('2026-11-21T01:00:05'), { retension: 1 })
  await put('d', {}, { at: '02:00' })
  const { code, out } = await check()
  expect(code).toBe(2)
  expect(out.split('\n')).toEqual([
    'CRITICAL: 1 of 4 schedules is overdue, 1 is invalid, 2 have a problem: daily/c, daily/d, daily/a, weekly/b | fresh=2 new=0 late=0 overdue=1 invalid=1 disabled=0',
    'CRITICAL daily/c: invalid, last good 2026-11-21 01:00 UTC, 7 h ago: "retension" is not an attribute that this version knows; did you mean "retention"?',
    'CRITICAL daily/d: overdue since 2026-11-01 08:00 UTC, no good image yet: The schedule tells of no problem; do the functions run?',
    'WARNING daily/a: fresh, last good 2026-11-21 01:00 UTC, 7 h ago: Server "a" is busy (image_snapshot); the image waits for it.',
    'WARNING weekly/b: fresh, last good 2026-11-15 01:00 UTC, 6 days ago: Its server has been missing since 2026-11-20 12:00 UTC.',
  ])
  expect(await check('--cadence', 'weekly')).toMatchObject({ code: 1, out: expect.stringMatching(/^WARNING: 1 of 1 schedule has a problem: weekly\/b \(/) as unknown })
  expect((await check('--cadence', 'monthly'))).toEqual({ code: 3, out: 'UNKNOWN: no monthly schedule is enabled, so there is nothing to check', err: '' })
})

test('of many that are not well, the first line names five', async () => {
  for (const n of [1, 2, 3, 4, 5, 6]) await put(`web-${n}`, {})
  const [first, ...others] = (await check()).out.split('\n')
  expect(first).toBe('CRITICAL: 6 of 6 schedules are overdue: daily/web-1, daily/web-2, daily/web-3, daily/web-4, daily/web-5, … | fresh=0 new=0 late=0 overdue=6 invalid=0 disabled=0')
  expect(others).toHaveLength(6)
})

test('-o json is one document with every schedule', async () => {
  await put('web-1', { ...good('2026-11-18T01:00:05'), problem: 'No.' })
  await put('web-2', good('2026-11-21T01:00:05'))
  const { code, out } = await desk.runDeployed(['-o', 'json', 'check'])
  expect(code).toBe(2)
  expect(JSON.parse(out)).toEqual({
    status: 'CRITICAL',
    summary: '1 of 2 schedules is overdue: daily/web-1 (overdue since 2026-11-19 07:00 UTC, last good 2026-11-18 01:00 UTC, 3 days ago: No.)',
    counts: { fresh: 1, new: 0, late: 0, overdue: 1, invalid: 0, disabled: 0 },
    schedules: [
      { schedule: 'daily/web-1', cloud: 'default', status: 'CRITICAL', verdict: 'overdue', lastGood: '2026-11-18T01:00:05.000Z', overdueSince: '2026-11-19T07:00:00.000Z', problem: 'No.' },
      { schedule: 'daily/web-2', cloud: 'default', status: 'OK', verdict: 'fresh', lastGood: '2026-11-21T01:00:05.000Z' },
    ],
  })
})

test('nothing to check, a table that cannot be read and wrong usage are UNKNOWN', async () => {
  expect(await check()).toEqual({ code: 3, out: 'UNKNOWN: no schedule is enabled, so there is nothing to check', err: '' })
  await put('off', {}, { enabled: false })
  expect(await check()).toMatchObject({ code: 3, out: expect.stringMatching(/^UNKNOWN: no schedule is enabled, .* disabled=1$/) as unknown })
  expect(await desk.runDeployed(['check'], { env: { SCHEDULES_TABLE: 'nowhere' } })).toMatchObject({ code: 3, out: expect.stringMatching(/^UNKNOWN: The stage's tables do not exist .* \(AWS_ERROR\)$/) as unknown })
  const file = join(desk.directory, 'file')
  writeFileSync(file, '')
  expect(await desk.runDeployed(['--local', file, 'check'])).toMatchObject({ code: 3, out: expect.stringMatching(/^UNKNOWN: The directory .* cannot be used .* \(CONFIGURATION_INVALID\)$/) as unknown })
  rmSync(file)
  for (const after of ['soon', '3', '3w', '-3d', '']) expect(await check(`--critical-after=${after}`)).toMatchObject({ code: 3, out: `UNKNOWN: --critical-after must be minutes, hours or days such as 90m, 12h or 2d, not "${after}".` })
  expect(await check('--cadence', 'hourly')).toMatchObject({ code: 3, out: '', err: expect.stringContaining("Allowed choices are daily, weekly, monthly, yearly, custom") as unknown })
  expect(await check('--verbos')).toMatchObject({ code: 3 })
  expect(await check('--help')).toMatchObject({ code: 0, out: expect.stringContaining('3 UNKNOWN: the table cannot be read') as unknown })
})

test('it asks no cloud, and needs no credentials of one', async () => {
  await put('web-1', good('2026-11-21T01:00:05'))
  desk.world.aws.parameters.clear()
  expect((await check()).code).toBe(0)
  expect(desk.world.openstack.requests).toEqual([])
})

test('on one machine: new, late until its image is good, fresh, and overdue when the timer does not run', async () => {
  const { id } = desk.world.openstack.addServer(desk.world.project, { name: 'web-1' })
  const at = async (time: string, work = true) => {
    desk.world.setClock(time)
    if (work) expect((await desk.run(['run', 'all'])).code).toBe(0)
    return desk.run(['check'])
  }
  await desk.run(['enable', '--at', '10:00', 'web-1', '3'])
  expect((await at('2026-11-21T09:00:00Z', false)).out).toMatch(/^OK: 1 schedule is new \|/)
  expect((await at('2026-11-21T09:00:00Z')).out).toMatch(/^OK: 1 schedule is new \|/)
  expect((await at('2026-11-21T11:00:00Z')).out).toMatch(/^OK: 1 schedule is late and still in time \|/)
  expect((await at('2026-11-21T11:15:00Z')).out).toMatch(/^OK: 1 schedule is fresh \|/)
  expect((await at('2026-11-21T11:30:00Z')).out).toMatch(/^OK: 1 schedule is fresh \|/)
  expect((await at('2026-11-22T09:59:00Z', false)).out).toMatch(/^OK: 1 schedule is fresh \|/)
  expect(await at('2026-11-22T17:00:00Z', false)).toMatchObject({ code: 2, out: expect.stringMatching(/^CRITICAL: 1 of 1 schedule is overdue: daily\/[-0-9a-f]{36} of web-1 \(overdue since 2026-11-22 .* 30 h ago: The schedule tells of no problem; do the functions run\?\)/) as unknown })
  // The run of a server that is gone knows no name; the one of its last good image does.
  desk.world.openstack.remove(id)
  expect(await at('2026-11-22T17:15:00Z')).toMatchObject({ code: 2, out: expect.stringMatching(/^CRITICAL: 1 of 1 schedule is overdue: daily\/[-0-9a-f]{36} of web-1 \(.* does not exist .* It has been missing since/) as unknown })
})
