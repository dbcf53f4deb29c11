import { randomUUID } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { wire, type Service } from '../lib/wiring.ts'
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

/** The lines of an invocation that CloudWatch takes for metrics. */
async function metricLines(env: Record<string, string>, work: (service: Service) => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    const { log } = fixture.service
    const service = wire({ env: { ...fixture.world.env, ...env }, clock: fixture.world.clock, newId: randomUUID, log })
    await work(service)
    await service.flush()
    return written.mock.calls.map(([text]) => JSON.parse(String(text)) as Record<string, unknown>)
  } finally {
    written.mockRestore()
  }
}

test('an invocation writes its metrics in one line, with the stage, and one that has none writes nothing', async () => {
  const { world, service } = fixture
  for (const name of ['web-1', 'web-2', 'web-3']) await scheduled(world, name)
  await enable(service)
  const now = new Date(day(1))
  world.setClock(now)
  const tick = { now, timeLeftMs: () => 300_000 }
  const lines = await metricLines({ STAGE: 'prod' }, (real) => real.snapshot('daily', tick))
  expect(lines).toEqual([{
    _aws: {
      Timestamp: expect.any(Number),
      CloudWatchMetrics: [{
        Namespace: 'ScheduledImages',
        Dimensions: [['service', 'stage']],
        Metrics: [{ Name: 'ImagesStarted', Unit: 'Count' }],
      }],
    },
    service: 'scheduled-images', stage: 'prod', ImagesStarted: [1, 1, 1],
  }])
  world.setClock(day(1, '01:15:00'))
  const [pruned] = await metricLines({}, (real) => real.prune({ ...tick, now: new Date(day(1, '01:15:00')) }))
  expect(pruned).toMatchObject({ stage: 'local', ImagesInFlight: 3, SchedulesOverdue: 0, SchedulesInvalid: 0, ImagesGood: [1, 1, 1], ImageDuration: [expect.any(Number), expect.any(Number), expect.any(Number)] })
  expect(pruned).toHaveProperty('_aws.CloudWatchMetrics.0.Metrics', expect.arrayContaining([{ Name: 'ImageDuration', Unit: 'Seconds' }]))
  expect(await metricLines({}, () => Promise.resolve())).toEqual([])
})

test('a missing or malformed environment variable is named', () => {
  const { world } = fixture
  const build = (env: Record<string, string | undefined>) => () => wire({ env: { ...world.env, ...env }, clock: world.clock, newId: () => 'id' })
  expect(build({ RUNS_TABLE: undefined, CLOUDS_PATH: '/no/slash' })).toThrow(
    'The environment variables RUNS_TABLE, CLOUDS_PATH are missing or malformed; serverless.yml sets them.',
  )
  expect(build({ DRY_RUN: 'perhaps' })).toThrow('The environment variables DRY_RUN are missing or malformed')
})
