import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'

const fixture = useWorld()
const requiring = { hw_qemu_guest_agent: 'yes', os_require_quiesce: 'yes' }
const golden = (properties: Record<string, string>) => fixture.world.openstack.addImage(fixture.world.project, { name: 'golden', properties }).id

test('each image says how its disk was treated', async () => {
  const { world, service } = fixture
  const live = await scheduled(world, 'live')
  const quiesced = await scheduled(world, 'quiesced', { image: golden(requiring) }, { consistency: 'quiesced' })
  const volume = await scheduled(world, 'volume', { image: golden(requiring), volumeBacked: true }, { consistency: 'quiesced' })
  await enable(service)
  await runDays(service, 1, 1)
  for (const [{ id }, consistency] of [[live, 'live'], [quiesced, 'quiesced'], [volume, 'quiesced']] as const) {
    expect(imagesOf(world, id)).toMatchObject([{ properties: { scheduled_images__consistency: consistency } }])
  }
})

test.each([
  ['no guest agent', { os_require_quiesce: 'yes' }, 'does not say hw_qemu_guest_agent=yes'],
  ['nothing that requires quiesce', { hw_qemu_guest_agent: 'yes', os_require_quiesce: 'no' }, 'does not say os_require_quiesce=yes'],
  ['neither', {}, 'does not say hw_qemu_guest_agent=yes and os_require_quiesce=yes'],
])('a server whose image has %s is not quiesced for certain, and its item says so', async (_what, properties, why) => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', { image: golden(properties) }, { consistency: 'quiesced' })
  await enable(service)
  await service.tickAt(day(1))
  expect(imagesOf(world, id)).toEqual([])
  expect((await stateOf(world, 'web-1'))['problem']).toBe(
    `Server "web-1" cannot be quiesced for certain: the image that it was made from ${why}. Rebuild it from an image that does, or set "consistency" to "live" or "stopped".`,
  )
  expect((await stateOf(world, 'web-1'))['next']).toBe(day(1, '01:59:00').replace('Z', '.000Z'))
})

test('an image that is gone says nothing of quiesce; ten servers of one image cost one look at it', async () => {
  const { world, service } = fixture
  const gone = golden(requiring)
  await scheduled(world, 'orphan', { image: gone }, { consistency: 'quiesced' })
  world.openstack.remove(gone)
  const shared = golden(requiring)
  for (let n = 0; n < 10; n += 1) await scheduled(world, `web-${n}`, { image: shared, host: `compute-${n}` }, { consistency: 'quiesced' })
  await enable(service)
  const before = world.openstack.requests.length
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ failed: 1, started: 10 })
  expect(world.openstack.requests.slice(before).filter(({ service: of, path }) => of === 'image' && path.includes(shared))).toHaveLength(1)
  expect((await stateOf(world, 'orphan'))['problem']).toMatch(/the image that it was made from is gone/)
})
