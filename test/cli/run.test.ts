import { expect, test } from 'vitest'
import { useDesk } from '../support/cli.ts'

const desk = useDesk({ snapshotSeconds: { saving: 1, active: 5, idle: 6 } })
const addServer = (name: string) => desk.world.openstack.addServer(desk.world.project, { name }).id
const ours = () => desk.world.openstack.images().filter(({ owner }) => owner === desk.world.project.id)

test.each([false, true])('run and prune do the whole job from a terminal (deployed: %s)', async (deployed) => {
  const run = deployed ? desk.runDeployed : desk.run
  addServer('web-1')
  await run(['enable', '--now', 'web-1', '1'])
  expect(await run(['run', 'daily'])).toEqual({ code: 0, out: 'daily: 1 schedules, 1 started', err: expect.stringMatching(/^\S+ INFO {2}daily\/.*: counts from now on.*\n\S+ INFO {2}daily\/.*: started Daily-web-1-\d+ \(req-/) as string })
  desk.world.setClock('2026-11-01T00:10Z')
  expect((await run(['prune'])).out).toBe('prune: 1 clouds, 1 good, 1 kept')
  desk.world.setClock('2026-11-02T03:00Z')
  expect((await run(['run', 'all'])).out).toContain('daily: 1 schedules, 1 started')
  desk.world.setClock('2026-11-02T03:15Z')
  expect((await run(['prune'])).out).toBe('prune: 1 clouds, 1 good, 1 deleted, 1 kept')
  expect(ours()).toHaveLength(1)
})

test('a dry run says what it would do, and does nothing', async () => {
  addServer('web-1')
  await desk.run(['enable', '--now', 'web-1', '1'])
  const { code, out, err } = await desk.run(['run', 'daily', '--dry-run'])
  expect([code, out]).toEqual([0, 'daily: 1 schedules, 1 planned'])
  expect(err).toContain('dry run: would start Daily-web-1-')
  expect(ours()).toEqual([])
})

test('-o json prints the counts as one document, and the log as JSON lines beside it', async () => {
  addServer('web-1')
  await desk.run(['enable', '--now', 'web-1', '1'])
  const { out, err } = await desk.run(['-o', 'json', 'run', 'daily'])
  expect(JSON.parse(out)).toMatchObject({ daily: { started: 1, faults: 0 } })
  expect(err.split('\n').map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(['INFO', 'INFO'])
})

test('-v logs what is not due as well', async () => {
  addServer('web-1')
  await desk.run(['enable', 'web-1', '1'])
  expect((await desk.run(['-v', 'run', 'daily'])).err).toContain('not due: the schedule is waiting for its first instant')
})

test('a cloud that is down is told of, and the run is tried again later', async () => {
  addServer('web-1')
  await desk.run(['enable', '--now', 'web-1', '1'])
  const start = desk.world.openstack.stop('keystone')
  const { code, out, err } = await desk.run(['run', 'daily'])
  expect([code, out]).toEqual([0, 'daily: 1 schedules, 1 failed, 1 unreachable'])
  expect(err).toContain('ERROR cloud default: ')
  start()
  desk.world.setClock('2026-11-01T00:20Z')
  expect((await desk.run(['run', 'daily'])).out).toBe('daily: 1 schedules, 1 started')
})

test('a cadence that there is none of is refused with the nearest one', async () => {
  expect(await desk.run(['run', 'dayly'])).toMatchObject({
    code: 2, err: expect.stringContaining("argument 'cadence'. It must be one of daily, weekly, monthly, yearly, custom, all. Did you mean \"daily\"?") as string,
  })
  expect(await desk.run(['run', 'DAILY'])).toMatchObject({ code: 0 })
  expect(await desk.run(['run', 'manual'])).toMatchObject({ code: 2 })
})

test('Ctrl-C begins nothing more, and what is begun is finished and recorded', async () => {
  for (let n = 0; n < 30; n += 1) addServer(`web-${n}`)
  for (let n = 0; n < 30; n += 1) await desk.run(['enable', '--now', `web-${n}`, '1'])
  const interruption = new AbortController()
  desk.world.openstack.fault({ body: /createImage/, after: 2, times: 1, then: { delayMs: 20 } })
  const running = desk.run(['run', 'all'], { interrupted: interruption.signal })
  while (ours().length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  interruption.abort()
  const { code, err } = await running
  expect(code).toBe(130)
  expect(err).toContain('Interrupted: nothing more is begun, and what is begun is finished.')
  const made = ours().length
  expect(made).toBeGreaterThan(0)
  const listed = JSON.parse((await desk.run(['list', '-o', 'json'])).out) as { lastRun?: object }[]
  expect(listed.filter(({ lastRun }) => lastRun !== undefined)).toHaveLength(made)
})

test('prune --new-project says once that it is meant', async () => {
  desk.world.openstack.addServer(desk.world.project, { name: 'web-1' })
  await desk.runDeployed(['enable', '--now', 'web-1', '1'])
  await desk.runDeployed(['run', 'all'])
  desk.world.setClock('2026-11-01T00:15Z')
  await desk.runDeployed(['run', 'all'])
  const other = desk.world.openstack.addProject('beta')
  const user = desk.world.openstack.addUser('bob', 'bob-password', { beta: 'member' })
  const { id, secret } = desk.world.openstack.addApplicationCredential(user, other, { secret: 'beta-secret' })
  desk.world.openstack.addServer(other, { name: 'web-1' })
  desk.world.aws.parameters.set('/scheduled-images/local/clouds/default', JSON.stringify({ auth: { auth_url: desk.world.openstack.authUrl, application_credential_id: id, application_credential_secret: secret }, region_name: 'RegionOne' }))
  expect(await desk.runDeployed(['snapshot', 'web-1'])).toMatchObject({ code: 1, err: expect.stringContaining('CLOUD_CHANGED') as string })
  expect((await desk.runDeployed(['prune', '--new-project'])).err).toContain(`Cloud "default" is project ${other.id}, region RegionOne, from now on.`)
  expect(await desk.runDeployed(['snapshot', 'web-1'])).toMatchObject({ code: 0 })
})

test('a dry run takes no new project', async () => {
  desk.world.openstack.addServer(desk.world.project, { name: 'web-1' })
  await desk.runDeployed(['enable', '--now', 'web-1', '1'])
  await desk.runDeployed(['run', 'all'])
  const before = await desk.world.runs()
  const { code, err } = await desk.runDeployed(['prune', '--new-project', '--dry-run'])
  expect([code, err]).toEqual([2, expect.stringContaining("option '--new-project' cannot be used with option '--dry-run'")])
  expect(await desk.world.runs()).toEqual(before)
})
