import { expect, test } from 'vitest'
import { wire } from '../lib/wiring.ts'
import { useWorld } from './support/fixture.ts'
import { day, enable, scheduled } from './support/scene.ts'

const fixture = useWorld({ tokenLifetimeSeconds: 120 })

test('a credential that was replaced a moment ago is read again when the old one is refused', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  await service.snapshotAt('daily', day(1))
  const [[name, text]] = [...world.aws.parameters] as [[string, string]]
  const { auth } = JSON.parse(text) as { auth: { auth_url: string } }
  world.aws.parameters.set(name, JSON.stringify({
    auth: { auth_url: auth.auth_url, username: 'alice', password: 'alice-password', project_name: 'alpha', user_domain_name: 'Default', project_domain_name: 'Default' },
    region_name: 'RegionOne',
  }))
  // The parameter that was read three minutes ago is still kept, but its token has expired and is refused anew.
  world.openstack.fault({ service: 'identity', times: 1, then: { status: 401 } })
  expect(await service.pruneAt(day(1, '01:03:00'))).toMatchObject({ good: 1 })
})

test('a warm function keeps its token from one tick to the next', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  await service.snapshotAt('daily', day(1))
  await service.pruneAt(day(1, '01:00:30'))
  expect(world.openstack.requests.filter(({ service: name }) => name === 'identity')).toHaveLength(1)
})

test('a missing or malformed environment variable is named', () => {
  const { world } = fixture
  const build = (env: Record<string, string | undefined>) => () => wire({ env: { ...world.env, ...env }, clock: world.clock, newId: () => 'id' })
  expect(build({ RUNS_TABLE: undefined, CLOUDS_PATH: '/no/slash' })).toThrow(
    'The environment variables RUNS_TABLE, CLOUDS_PATH are missing or malformed; serverless.yml sets them.',
  )
  expect(build({ DRY_RUN: 'perhaps' })).toThrow('The environment variables DRY_RUN are missing or malformed')
})
