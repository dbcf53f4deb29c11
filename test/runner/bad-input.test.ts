import { beforeEach, expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'

const fixture = useWorld()
let good: string

/** Beside whatever is wrong, a good item, which is done each time. */
beforeEach(async () => {
  good = (await scheduled(fixture.world, 'good')).id
})

/** Runs a day; the bad item's problem, as the item, the log and the events have it. */
async function problemOf(cadence: string, name: string): Promise<string> {
  const { world, service } = fixture
  await enable(service)
  await runDays(service, 1, 1)
  expect(imagesOf(world, good)).toHaveLength(1)
  const problem = String((await stateOf(world, name, cadence))['problem'])
  const told = world.aws.events.filter(({ detail }) => detail['schedule'] === `${cadence}/${name}`)
  expect(told.length).toBeGreaterThan(0)
  expect(told[0]!.detail).toMatchObject({ reason: { message: problem } })
  expect(service.lines.some(({ level, message }) => level !== 'info' && message.includes(problem))).toBe(true)
  return problem
}

test('a malformed item is told of once, in its own state, and once more when it is wrong in another way', async () => {
  const { world, service } = fixture
  await world.putSchedule({ cadence: 'daily', schedule: 'bad', server: good, retention: 'seven', tiemZone: 'UTC' })
  expect(await problemOf('daily', 'bad')).toBe(
    '"tiemZone" is not an attribute that this version knows; did you mean "timeZone"? retention must be a whole number from 1 to 65535, not "seven".',
  )
  const invalid = () => world.aws.events.filter(({ type }) => type === 'Schedule Invalid').length
  expect(invalid()).toBe(1)
  await world.editSchedule('daily', 'bad', { retention: 'eight' })
  await service.tickAt(day(1, '02:00:00'))
  expect(invalid()).toBe(2)
})

test('an item that was mended loses its problem', async () => {
  const { world, service } = fixture
  await world.putSchedule({ cadence: 'daily', schedule: 'bad', server: good, retention: 0 })
  await problemOf('daily', 'bad')
  await world.editSchedule('daily', 'bad', { retention: 1 })
  await service.tickAt(day(1, '02:00:00'))
  expect(await stateOf(world, 'bad')).toEqual({ since: '2026-11-01T02:00:00.000Z', next: expect.stringMatching(/^2026-11-02/) as unknown })
})

test('a number with more digits than a number holds is a fault of its item, not of the table', async () => {
  const { world } = fixture
  await world.putSchedule({ cadence: 'daily', schedule: 'bad', server: good, retention: '99999999999999999999999999' })
  expect(await problemOf('daily', 'bad')).toMatch(/^retention must be a whole number from 1 to 65535/)
})

test('an unknown time zone', async () => {
  await fixture.world.putSchedule({ cadence: 'weekly', schedule: 'bad', server: good, retention: 1, dayOfWeek: 'sunday', timeZone: 'Europe/Atlantis' })
  expect(await problemOf('weekly', 'bad')).toBe('timeZone must be an IANA time zone such as Europe/Stockholm, not "Europe/Atlantis". Did you mean "Europe/Athens"?')
})

test.each<[sentence: string, parameter: string | undefined, problem: RegExp]>([
  ['a missing cloud parameter', undefined, /^Cloud "other" has no parameter; store its clouds\.yaml entry as the SecureString \/scheduled-images\/local\/clouds\/other\.$/],
  ['a parameter that is no YAML', '{ auth: [', /^The parameter of cloud "other" is not usable: it is neither YAML nor JSON\.$/],
  ['a parameter that is a whole clouds.yaml', 'clouds:\n  other:\n    auth: {}', /it holds a whole clouds\.yaml; store only what stands under clouds\.<name>\.$/],
  ['a parameter without a secret', 'auth: { auth_url: "http://127.0.0.1:1/v3", application_credential_id: x }', /"auth\.application_credential_secret" is missing\.$/],
  ['a cloud that is not there', 'auth: { auth_url: "http://127.0.0.1:1/v3", application_credential_id: x, application_credential_secret: alpha-secret }', /^Asking Keystone for a token failed at 127\.0\.0\.1:1 \(connect ECONNREFUSED 127\.0\.0\.1:1\)\.$/],
])('%s', async (_sentence, parameter, problem) => {
  const { world } = fixture
  if (parameter) world.aws.parameters.set('/scheduled-images/local/clouds/other', parameter)
  await world.putSchedule({ cadence: 'daily', schedule: 'bad', server: good, retention: 1, spread: 0, cloud: 'other' })
  expect(await problemOf('daily', 'bad')).toMatch(problem)
}, 30_000)

test.each<[sentence: string, change: (entry: Entry) => Entry, problem: RegExp]>([
  [
    'a wrong password',
    (entry) => ({ auth: { ...password(entry), password: 'alice-password-no-more' } }),
    /^Keystone refused the credentials: check the user, the password and the project; Keystone does not say which of them is wrong\.$/,
  ],
  [
    'case 54: an application credential that was deleted',
    (entry) => ({ ...entry, auth: { ...entry.auth, application_credential_id: 'f'.repeat(32) } }),
    /^Keystone does not know this application credential: it was deleted, or its id is wrong\.$/,
  ],
  ['case 57: an unknown region', (entry) => ({ ...entry, region_name: 'RegionThree' }), /^Region "RegionThree" does not exist; the regions are RegionOne, RegionTwo\.$/],
  ['no region where there are two', ({ auth }) => ({ auth }), /^The cloud has more than one region; set "region_name" to one of RegionOne, RegionTwo\.$/],
  [
    'case 53: a user without a project',
    (entry) => {
      const { project_name: _, ...unscoped } = password(entry)
      return { auth: unscoped, region_name: entry.region_name! }
    },
    /^The user has no default project, so the token is for no project; add "auth\.project_name" and "auth\.project_domain_name"\.$/,
  ],
])('%s', async (_sentence, change, problem) => {
  const { world } = fixture
  const [text] = world.aws.parameters.values()
  world.aws.parameters.set('/scheduled-images/local/clouds/other', JSON.stringify(change(JSON.parse(text!) as Entry)))
  await world.putSchedule({ cadence: 'daily', schedule: 'bad', server: good, retention: 1, spread: 0, cloud: 'other' })
  expect(await problemOf('daily', 'bad')).toMatch(problem)
})

type Entry = { auth: Record<string, string>; region_name?: string; auth_type?: string }

function password({ auth }: Entry): Record<string, string> {
  return { auth_url: auth['auth_url']!, username: 'alice', password: 'alice-password', project_name: 'alpha', user_domain_name: 'Default', project_domain_name: 'Default' }
}

test.each<[sentence: string, server: string, problem: RegExp]>([
  ['a server name that matches none', 'nobody', /^No server is named "nobody" in the project of cloud "default"/],
  ['a server name that matches two', 'twin', /^2 servers are named "twin" in the project of cloud "default" \(.*\)\. Use the UUID of the one that is meant\.$/],
  ['a server that does not exist', '00000000-0000-4000-8000-000000000000', /^Server 00000000-0000-4000-8000-000000000000 does not exist in the project of cloud "default"; its images are kept\./],
])('%s', async (_sentence, server, problem) => {
  const { world } = fixture
  for (let n = 0; n < 2; n += 1) world.openstack.addServer(world.project, { name: 'twin' })
  await world.putSchedule({ cadence: 'daily', schedule: 'bad', server, retention: 1, spread: 0 })
  expect(await problemOf('daily', 'bad')).toMatch(problem)
})

test('a server given by name is found, and found again without asking OpenStack', async () => {
  const { world, service } = fixture
  const named = await scheduled(world, 'by-name', {}, { server: 'by-name', spread: 30 })
  await enable(service)
  await runDays(service, 1, 1)
  await service.tickAt(day(1, '01:45:00'))
  expect(imagesOf(world, named.id)).toHaveLength(1)
  const before = world.openstack.requests.length
  await service.tickAt(day(1, '03:00:00'))
  expect(world.openstack.requests.length).toBe(before)
})
