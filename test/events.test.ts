import { readdirSync } from 'node:fs'
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge'
import { expect, test, vi } from 'vitest'
import { faultsOfEvent } from '../demo/aws/event-schemas.ts'
import { startAws, type SentEvent } from '../demo/aws/services.ts'
import { eventDetails, eventSchema, type EventType } from '../lib/model/event.ts'
import { planRetention } from '../lib/planner/retention.ts'
import { useWorld } from './support/fixture.ts'
import { day, enable, runDays, scheduled } from './support/scene.ts'

// The planner can be broken here, since nothing else makes it break a law.
vi.mock(import('../lib/planner/retention.ts'), async (original) => ({ planRetention: vi.fn((await original()).planRetention) }))

const fixture = useWorld()
const types = Object.keys(eventDetails) as EventType[]
const fileOf = (type: EventType) => `${type.toLowerCase().replaceAll(' ', '-')}.schema.json`

test.each(types)('the schema file of %s is what lib/model/event.ts says; vitest -u writes it anew', async (type) => {
  await expect(`${JSON.stringify(eventSchema(type), null, 2)}\n`).toMatchFileSnapshot(`../docs/events/${fileOf(type)}`)
})

test('docs/events has a schema for each type of event, and no other', () => {
  expect(readdirSync(new URL('../docs/events', import.meta.url)).toSorted()).toEqual(types.map(fileOf).toSorted())
})

/** Plays three days in which everything happens that is told of. */
async function eventful(): Promise<SentEvent[]> {
  const { world, service } = fixture
  await scheduled(world, 'web-1', {}, { retention: 1 })
  await scheduled(world, 'broken', { status: 'ERROR' })
  await world.putSchedule({ cadence: 'daily', schedule: 'nobody', server: 'nobody', retention: 1 })
  await world.putSchedule({ cadence: 'daily', schedule: 'typo', server: 'web-1', retension: 1 })
  await world.putSchedule({ cadence: 'custom', schedule: 'web-1', server: 'web-1', cron: '0 2 * * *', retention: 1 })
  await enable(service)
  await runDays(service, 1, 2)
  for (const time of ['02:00:00', '02:15:00']) await service.tickAt(day(2, time))
  const { planRetention: honest } = await vi.importActual<{ planRetention: typeof planRetention }>('../lib/planner/retention.ts')
  vi.mocked(planRetention).mockImplementation((...given) => honest(...given).map((plan) => ({ ...plan, remove: plan.keep.map(({ image }) => ({ image, reason: 'of a mistake', snapshots: [] })) })))
  await runDays(service, 3, 3)
  return world.aws.events
}

/** Each object of a document, itself first. */
function objectsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return []
  return [...(Array.isArray(value) ? [] : [value as Record<string, unknown>]), ...Object.values(value).flatMap(objectsIn)]
}

test('each type of event is sent, and its schema refuses a field too many anywhere, one too few, and another version', async () => {
  const events = await eventful()
  expect([...new Set(events.map(({ type }) => type))].toSorted()).toEqual(types.toSorted())
  expect(events.flatMap(faultsOfEvent)).toEqual([])
  expect(events.filter(({ type }) => type === 'Scheduled Image Failed').map(({ detail }) => 'server' in detail)).toEqual(expect.arrayContaining([true, false]))

  for (const { type, detail } of events) {
    for (const i of objectsIn(detail).keys()) {
      const copy = structuredClone(detail)
      objectsIn(copy)[i]!['color'] = 'red'
      expect(faultsOfEvent({ type, detail: copy }), `${type} with a color`).toEqual([expect.stringContaining('must NOT have additional properties {"additionalProperty":"color"}')])
    }
    for (const field of ['version', 'cloud', 'reason', 'image', 'images', 'schedule'].filter((name) => name in detail)) {
      const { [field]: _field, ...rest } = detail
      expect(faultsOfEvent({ type, detail: rest }), `${type} without ${field}`).toEqual([expect.stringContaining(`must have required property '${field}'`)])
    }
    expect(faultsOfEvent({ type, detail: { ...detail, version: 2 } })).toEqual([`${type}: detail/version must be equal to constant {"allowedValue":1}`])
  }
  expect(faultsOfEvent({ type: 'Scheduled Image Lost', detail: {} })).toEqual(['No schema in docs/events/ has the title "Scheduled Image Lost".'])
})

test('an event that is not as its schema says fails the test that sent it, once it closes its AWS', async () => {
  const aws = await startAws()
  await new EventBridgeClient({ region: 'eu-central-1', endpoint: aws.env['AWS_ENDPOINT_URL_EVENTBRIDGE']!, credentials: { accessKeyId: 'local', secretAccessKey: 'local' } }).send(new PutEventsCommand({ Entries: [{ DetailType: 'Schedule Invalid', Source: 'scheduled-images', EventBusName: 'bus', Detail: '{"version":1}' }] }))
  await expect(aws.close()).rejects.toThrow("Events are not as their schemas say: Schedule Invalid: detail must have required property 'cloud'")
})
