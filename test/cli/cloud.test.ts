import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useDesk } from '../support/cli.ts'
import { leaks } from '../support/secrecy.ts'

const desk = useDesk()
const path = '/scheduled-images/local/clouds'

/** A clouds.yaml of the world's cloud, with another one beside it, and its secret in secure.yaml. */
function clouds(): string {
  const { auth, ...entry } = JSON.parse(desk.world.aws.parameters.get(`${path}/default`)!) as { auth: Record<string, string> }
  const hidden = Object.fromEntries(Object.entries(auth).filter(([name]) => /secret|password/.test(name)))
  const shown = Object.fromEntries(Object.entries(auth).filter(([name]) => !(name in hidden)))
  const file = join(desk.directory, 'others.yaml')
  writeFileSync(file, JSON.stringify({ clouds: { alpha: { ...entry, auth: shown, networks: [{ name: 'n' }] }, broken: { auth: { auth_url: 'no-url', password: 'a-password-of-nobody' } } } }))
  writeFileSync(join(desk.directory, 'secure.yaml'), JSON.stringify({ clouds: { alpha: { auth: hidden } } }))
  return file
}
const stored = (name: string) => desk.world.aws.parameters.get(`${path}/${name}`)

test('add stores one entry with its secret, after it was entered, and says whose it is', async () => {
  const file = clouds()
  const ran = await desk.runDeployed(['cloud', 'add', 'berlin', '--from', file, '--entry', 'alpha'])
  expect(ran).toMatchObject({ code: 0, err: '' })
  expect(ran.out).toMatch(new RegExp(`^Stored entry alpha of ${file} and \\S+secure.yaml as parameter ${path}/berlin\\.\nIt is for project alpha, as \\S+, by the application credential "\\S+"\\.$`))
  const entry = JSON.parse(stored('berlin')!) as Record<string, unknown>
  expect(entry).toEqual(JSON.parse(stored('default')!))
  expect(leaks({ parameter: stored('berlin') }, desk.world.secrets())).not.toEqual([])
  expect((await desk.runDeployed(['cloud', 'test', 'berlin'])).code).toBe(0)
})

test('what is stored already is replaced by a yes only', async () => {
  const file = clouds()
  const before = stored('default')
  const question = `Cloud "default" has credentials already. Replace them by entry alpha of ${file} and ${join(desk.directory, 'secure.yaml')}?`
  const add = ['cloud', 'add', 'default', '--from', file, '--entry', 'alpha']
  desk.world.aws.parameters.set(`${path}/default`, 'other')
  expect(await desk.runDeployed(add)).toMatchObject({ code: 1, err: expect.stringContaining('ERROR (CONFIRMATION_NEEDED)') as unknown })
  expect(await desk.runDeployed(add, { answer: false })).toEqual({ code: 1, out: '', err: `${question}\nNothing was changed.` })
  expect(stored('default')).toBe('other')
  expect((await desk.runDeployed(add, { answer: true })).code).toBe(0)
  desk.world.aws.parameters.set(`${path}/default`, 'other')
  expect((await desk.runDeployed([...add, '--yes', '-o', 'json'])).out).toContain('"replaced": true')
  expect(JSON.parse(stored('default')!)).toEqual(JSON.parse(before!))
})

test.each<[sentence: string, args: (file: string) => string[], error: string]>([
  ['a file that is not there', () => ['berlin', '--from', '/nowhere/clouds.yaml'], 'ERROR (CREDENTIALS_MISSING): /nowhere/clouds.yaml does not exist, or may not be read.'],
  ['a file with several entries and no choice', (file) => ['berlin', '--from', file], 'ERROR (CREDENTIALS_MISSING): FILE has several clouds; say by --entry which one is meant: alpha, broken.'],
  ['an entry that is not there', (file) => ['berlin', '--from', file, '--entry', 'alhpa'], 'ERROR (CREDENTIALS_MISSING): Cloud "alhpa" was not found: FILE has no such entry; its clouds are alpha, broken.'],
  ['an entry that cannot be used, by its own name', (file) => ['broken', '--from', file], 'ERROR (CLOUD_PARAMETER_INVALID): The entry broken of FILE is not usable: "auth.auth_url" must be Keystone\'s URL, such as https://keystone.example.com:5000/v3.'],
  ['a name that no parameter can have', (file) => ['new york', '--from', file, '--entry', 'alpha'], 'ERROR (CLOUD_PARAMETER_INVALID): A cloud cannot be called "new york": its name may have letters, digits, ".", "-" and "_".'],
])('nothing is stored: %s', async (_sentence, args, error) => {
  const file = clouds()
  expect(await desk.runDeployed(['cloud', 'add', ...args(file)])).toEqual({ code: 1, out: '', err: error.replace('FILE', file) })
  expect([...desk.world.aws.parameters.keys()]).toEqual([`${path}/default`])
})

test('a value that AWS refuses is not quoted', async () => {
  const file = join(desk.directory, 'nested.yaml')
  writeFileSync(file, JSON.stringify({ clouds: { alpha: { auth: { auth_url: 'http://127.0.0.1:9/v3', application_credential_id: 'x', application_credential_secret: '{{resolve:a-secret-of-nobody}}' } } } }))
  const { code, out, err } = await desk.runDeployed(['-v', 'cloud', 'add', 'berlin', '--from', file, '--no-test'])
  expect({ code, out, err }).toEqual({ code: 1, out: '', err: 'ERROR (CLOUD_PARAMETER_INVALID): AWS refused the entry of cloud "berlin" as the value of a parameter. A value cannot hold "{{".' })
})

test('credentials that Keystone refuses are stored only without a test', async () => {
  const file = clouds()
  writeFileSync(join(desk.directory, 'secure.yaml'), '{"clouds": {"alpha": {"auth": {"application_credential_secret": "a-wrong-secret"}}}}')
  const add = ['cloud', 'add', 'berlin', '--from', file, '--entry', 'alpha']
  expect(await desk.runDeployed(add)).toMatchObject({ code: 1, err: expect.stringMatching(/^ERROR \(CLOUD_AUTH_FAILED\): Keystone refused the credentials/) as unknown })
  expect(stored('berlin')).toBeUndefined()
  expect(await desk.runDeployed([...add, '--no-test'])).toMatchObject({ code: 0 })
  expect(stored('berlin')).toContain('a-wrong-secret')
})

test('the variables of the terminal do not come into an entry of a file', async () => {
  const file = clouds()
  await desk.runDeployed(['cloud', 'add', 'berlin', '--from', file, '--entry', 'alpha', '--no-test'], { env: { OS_USERNAME: 'eve', OS_CLOUD: 'other' } })
  expect(stored('berlin')).not.toContain('eve')
})

test('without a file it is what the terminal has', async () => {
  const { auth } = JSON.parse(stored('default')!) as { auth: Record<string, string> }
  const env = { OS_AUTH_TYPE: 'v3applicationcredential', OS_AUTH_URL: auth['auth_url']!, OS_APPLICATION_CREDENTIAL_ID: auth['application_credential_id']!, OS_APPLICATION_CREDENTIAL_SECRET: auth['application_credential_secret']!, OS_REGION_NAME: 'RegionTwo' }
  expect(await desk.runDeployed(['cloud', 'add', 'berlin'], { env })).toMatchObject({ code: 0, out: expect.stringMatching(/^Stored the OS_ variables of the environment as parameter /) as unknown })
  expect(JSON.parse(stored('berlin')!)).toEqual({ auth, auth_type: 'v3applicationcredential', region_name: 'RegionTwo' })
})

test('list shows each cloud with where its credentials are', async () => {
  desk.world.aws.parameters.set(`${path}/berlin`, 'x').set(`${path}/zurich`, 'x').set('/scheduled-images/other/clouds/oslo', 'x')
  const { out, code } = await desk.runDeployed(['cloud', 'list'])
  expect({ code, out }).toEqual({ code: 0, out: ['CLOUD    CREDENTIALS', `berlin   parameter ${path}/berlin`, `default  parameter ${path}/default`, `zurich   parameter ${path}/zurich`].join('\n') })
  expect(JSON.parse((await desk.runDeployed(['-o', 'json', 'cloud', 'list'])).out)).toContainEqual({ name: 'zurich', source: `parameter ${path}/zurich` })
})

test('test says whose the credentials are and what is there, whatever the terminal has set', async () => {
  desk.world.openstack.addServer(desk.world.project, { name: 'web-1' })
  const { out, code } = await desk.runDeployed(['cloud', 'test', 'default'], { env: { OS_CLOUD: 'nowhere' } })
  expect(code).toBe(0)
  expect(out).toContain(`Credentials  parameter ${path}/default`)
  expect(out).toMatch(/Project {6}alpha \(\w{32}\)/)
  expect(out).toMatch(/Nova {9}http\S+, 1 server$/m)
  expect(JSON.parse((await desk.runDeployed(['-o', 'json', 'cloud', 'test', 'default'])).out)).toMatchObject({ cloud: 'default', roles: ['member'], servers: 1, project: { name: 'alpha' } })
})

test('test of a cloud without credentials, and of one that is down, is an error', async () => {
  expect(await desk.runDeployed(['cloud', 'test', 'oslo'])).toEqual({ code: 1, out: '', err: `ERROR (CLOUD_PARAMETER_MISSING): Cloud "oslo" has no parameter; store its clouds.yaml entry as the SecureString ${path}/oslo.` })
  desk.world.openstack.stop('keystone')
  expect(await desk.runDeployed(['cloud', 'test', 'default'])).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^ERROR \(CLOUD_UNREACHABLE\): Asking Keystone for a token failed at 127\.0\.0\.1:\d+/) as unknown })
})

test('remove names the schedules that use the cloud, and asks', async () => {
  await desk.world.putSchedule({ cadence: 'daily', schedule: 'web', server: 'web-1', retention: 3 })
  await desk.world.putSchedule({ cadence: 'weekly', schedule: 'bad', cloud: 'default' })
  const warning = '2 schedules use cloud "default" and will make no more images: daily/web, weekly/bad. Images that there are stay.'
  const question = `Remove parameter ${path}/default? Its secret cannot be brought back.`
  expect(await desk.runDeployed(['cloud', 'remove', 'default'], { answer: false })).toEqual({ code: 1, out: '', err: `${warning}\n${question}\nNothing was changed.` })
  expect(stored('default')).toBeDefined()
  expect(await desk.runDeployed(['cloud', 'remove', 'default', '--yes'])).toEqual({ code: 0, out: `Removed parameter ${path}/default.`, err: warning })
  expect(stored('default')).toBeUndefined()
  expect(await desk.runDeployed(['cloud', 'remove', 'default', '--yes'])).toEqual({ code: 1, out: '', err: `ERROR (CLOUD_PARAMETER_MISSING): Cloud "default" has no credentials here: there is no parameter ${path}/default.` })
})

test('without AWS clouds are entries of clouds.yaml: listed, tested, and edited by hand', async () => {
  const file = join(desk.directory, 'clouds.yaml')
  expect(await desk.run(['cloud', 'list'])).toMatchObject({ code: 0, out: `CLOUD  CREDENTIALS\nalpha  entry alpha of ${file}` })
  expect((await desk.run(['cloud', 'test', 'alpha'])).out).toContain(`entry alpha of ${file}`)
  for (const command of [['add', 'berlin', '--from', file], ['remove', 'alpha']]) {
    expect(await desk.run(['cloud', ...command])).toEqual({
      code: 1, out: '', err: `ERROR (CONFIGURATION_INVALID): With --local DIR a cloud is an entry of a clouds.yaml (entry alpha of ${file} is one). Add or remove "${command[1]}" in that file yourself.`,
    })
  }
})

test('the secret of a machine may be in secure.yaml beside its clouds.yaml', async () => {
  const file = join(desk.directory, 'clouds.yaml')
  clouds()
  const { clouds: { alpha } } = JSON.parse(readFileSync(join(desk.directory, 'others.yaml'), 'utf8')) as { clouds: { alpha: object } }
  writeFileSync(file, JSON.stringify({ clouds: { alpha } }))
  expect(await desk.run(['cloud', 'test', 'alpha'])).toMatchObject({ code: 0, out: expect.stringContaining(`Credentials  entry alpha of ${file} and ${join(desk.directory, 'secure.yaml')}`) as unknown })
})

test('wrong usage is exit 2', async () => {
  expect((await desk.run(['cloud', 'add'])).code).toBe(2)
  expect((await desk.run(['cloud', 'test', 'alpha', '--sideways'])).code).toBe(2)
  expect((await desk.run(['cloud', 'add', '--help'])).out).toContain('--entry my-project')
})

test('Ctrl-C while the cloud is being entered stores nothing', async () => {
  const file = clouds()
  const interruption = new AbortController()
  desk.world.openstack.fault({ service: 'identity', then: { delayMs: 300 } })
  setTimeout(() => interruption.abort(), 100)
  expect(await desk.runDeployed(['cloud', 'add', 'berlin', '--from', file, '--entry', 'alpha'], { interrupted: interruption.signal })).toEqual({ code: 130, out: '', err: '' })
  await new Promise((resolve) => setTimeout(resolve, 600))
  expect(stored('berlin')).toBeUndefined()
})
