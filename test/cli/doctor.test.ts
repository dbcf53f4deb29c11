import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useDesk } from '../support/cli.ts'

const desk = useDesk({ quotas: { imageQuota: 20, snapshotQuota: 10 } })
const addServer = (name: string, options: object = {}) => desk.world.openstack.addServer(desk.world.project, { name, ...options })
const url = () => new URL(desk.world.openstack.authUrl).host
/** The lines of one check. */
const of = (check: string, out: string) => out.split('\n').filter((line) => line.includes(` ${check} `))

test('a cloud as it should be: each check, and exit 0', async () => {
  addServer('web-1')
  await desk.run(['enable', 'web-1', '7'])
  const { code, out, err } = await desk.run(['doctor'])
  expect({ code, err, out }).toEqual({
    code: 0,
    err: '',
    out: `
OK       tables        The tables of schedules and runs can be read.
OK       credentials   The application credential "simulated" of alice, in project alpha; restricted.
OK       expiry        The application credential does not expire.
OK       connection    Keystone at ${url()} is on this machine.
OK       clock         This machine's clock agrees with Keystone's.
OK       roles         The role is member.
OK       services      Nova, Glance and Cinder are in the catalog: ${url()}.
OK       microversion  Nova speaks the microversions 2.26 and 2.45 that are used.
OK       policies      As far as can be asked without harm, the credentials may make images, mark images, delete images, read volume snapshots, delete volume snapshots and stop and start servers.
OK       schedules     1 enabled schedule, 1 server.
OK       image quota   0 of 20 images used, and the schedules need at most 8 images more.
OK       volume quota  No scheduled server boots from a volume, so no volume snapshots are needed.
OK       guest agent   No schedule asks for "quiesced", so no guest agent is needed.

Cloud default: 0 problems, 0 warnings, 13 as it should be.`.trimStart(),
  })
})

test('nothing is changed, whatever is asked', async () => {
  addServer('db-1', { volumeBacked: true, dataVolumes: 1 })
  await desk.run(['enable', 'db-1', '3', '--consistency', 'stopped'])
  const seen = () => ({ images: desk.world.openstack.images(), servers: desk.world.openstack.servers(), snapshots: desk.world.openstack.snapshots(), volumes: desk.world.openstack.volumes() })
  const before = seen()
  const { out } = await desk.run(['doctor'])
  expect(of('volume quota', out)).toEqual(['OK       volume quota  0 of 10 volume snapshots used, and the schedules need at most 8 volume snapshots more.'])
  expect(of('volume size', out)).toEqual(['OK       volume size   3 of 1000000 GiB used, and the schedules need at most 12 GiB more.'])
  expect(seen()).toEqual(before)
})

test('quotas that do not last are a problem, with the fix on a line of its own, and exit 1', async () => {
  addServer('web-1')
  await desk.run(['enable', 'web-1', '30'])
  desk.world.openstack.setQuotas(desk.world.project, { imageQuota: 3 })
  const { code, out } = await desk.run(['doctor'])
  expect(code).toBe(1)
  expect(out).toContain(`
PROBLEM  image quota   0 of 3 images used, and the schedules need up to 31 images more: at their rate it lasts for 3 days.
                       -> Raise the quota to 31, or keep less.
`)
  expect(out).toMatch(/\nCloud default: 1 problem, 0 warnings, 12 as it should be\.$/)
})

test('a machine reads one JSON document', async () => {
  const { code, out } = await desk.run(['-o', 'json', 'doctor'])
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ cloud: 'default', ok: 14, warnings: 0, problems: 0 })
  expect((JSON.parse(out) as { findings: object[] }).findings).toContainEqual({ check: 'roles', level: 'ok', sentence: 'The role is member.' })
})

test('an application credential that ends soon', async () => {
  const { openstack, project } = desk.world
  const user = openstack.addUser('carol', 'carol-password', { alpha: 'member' })
  const { id, secret } = openstack.addApplicationCredential(user, project, { secret: 'ends-soon-secret', expiresAt: new Date('2026-11-05T00:00:00Z') })
  writeFileSync(join(desk.directory, 'clouds.yaml'), JSON.stringify({ clouds: { ends: { region_name: 'RegionOne', auth_type: 'v3applicationcredential', auth: { auth_url: openstack.authUrl, application_credential_id: id, application_credential_secret: secret } } } }))
  const { code, out } = await desk.run(['--cloud', 'ends', 'doctor'])
  expect(of('expiry', out)).toEqual(['PROBLEM  expiry        The application credential ends on 2026-11-05, in 4 days.'])
  expect(code).toBe(1)
})

test('a policy that is asked of an image that there is, and access rules', async () => {
  const { openstack } = desk.world
  addServer('web-1')
  await desk.run(['enable', 'web-1', '7'])
  openstack.fault({ service: 'image', method: 'DELETE', then: { status: 401 } })
  openstack.fault({ service: 'compute', method: 'POST', then: { status: 403 } })
  const { code, out } = await desk.run(['doctor'])
  expect(of('policies', out)).toEqual([
    'OK       policies      As far as can be asked without harm, the credentials may mark images, read volume snapshots and delete volume snapshots.',
    "PROBLEM  policies      The credentials may not make images: the cloud's policy refuses it.",
    "PROBLEM  policies      The credentials may not delete images: the application credential's access rules do not have it.",
    "WARNING  policies      The credentials may not stop and start servers: the cloud's policy refuses it. No schedule needs it today.",
  ])
  expect(code).toBe(1)
})

test('guests that cannot be quiesced, by their images', async () => {
  const able = desk.world.openstack.addImage(desk.world.project, { name: 'able', properties: { hw_qemu_guest_agent: 'yes', os_require_quiesce: 'yes' } })
  addServer('able-1', { image: able.id })
  addServer('web-1')
  for (const name of ['able-1', 'web-1']) await desk.run(['enable', name, '3', '--consistency', 'quiesced'])
  expect(of('guest agent', (await desk.run(['doctor'])).out)).toEqual([
    'OK       guest agent   1 server of schedules that ask for "quiesced" will be.',
    expect.stringMatching(/^PROBLEM {2}guest agent {3}Server "web-1" cannot be quiesced for certain/) as unknown,
  ])
})

test('a service that is down is told of, and the others are looked at', async () => {
  desk.world.openstack.fault({ service: 'block-storage', then: 'reset' })
  addServer('db-1', { volumeBacked: true })
  await desk.run(['enable', 'db-1', '3'])
  const { out } = await desk.run(['doctor'])
  expect(of('volume quota', out)).toEqual([expect.stringMatching(/^WARNING {2}volume quota {2}How many volume snapshots the project may have is not known: Looking up the quotas of volumes failed at /) as unknown])
  expect(of('image quota', out)).toHaveLength(1)
})

test('a cloud that is down, or refuses the credentials, is one clear problem', async () => {
  desk.world.openstack.stop('keystone')
  const { code, out } = await desk.run(['doctor'])
  expect(code).toBe(1)
  expect(out).toMatch(/^OK {7}tables .*\nPROBLEM {2}credentials {3}Asking Keystone for a token failed at \S+ \(.*\)\.\n {23}-> .*\n\nCloud default: 1 problem, 0 warnings, 1 as it should be\.$/)
})

test('of a stage the parameter is looked at, whatever the terminal has set', async () => {
  const { code, out } = await desk.runDeployed(['doctor'], { env: { OS_CLOUD: 'nowhere' } })
  expect({ code, last: out.split('\n').at(-1) }).toEqual({ code: 0, last: 'Cloud default: 0 problems, 0 warnings, 14 as it should be.' })
  expect((await desk.runDeployed(['--cloud', 'berlin', 'doctor'])).out).toContain('PROBLEM  credentials   Cloud "berlin" has no parameter; store its clouds.yaml entry as the SecureString /scheduled-images/local/clouds/berlin.')
})

test('of a stage that does not exist the tables are a problem too', async () => {
  const { code, out } = await desk.runDeployed(['doctor'], { env: { SCHEDULES_TABLE: 'no-such-table' } })
  expect(code).toBe(1)
  expect(of('tables', out)).toEqual([expect.stringMatching(/^PROBLEM {2}tables {8}The stage's tables do not exist/) as unknown])
  expect(of('roles', out)).toHaveLength(1)
})

test('Ctrl-C ends it at once', async () => {
  const interruption = new AbortController()
  desk.world.openstack.fault({ service: 'identity', then: { delayMs: 500 } })
  const ran = desk.run(['doctor'], { interrupted: interruption.signal })
  setTimeout(() => interruption.abort(), 50)
  expect(await ran).toEqual({ code: 130, out: '', err: '' })
})
