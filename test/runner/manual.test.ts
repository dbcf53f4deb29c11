import { expect, test } from 'vitest'
import type { Run } from '../../lib/model/run.ts'
import type { Schedule } from '../../lib/model/schedule.ts'
import { awaitRun, manualSchedule, snapshotNow, type Asked, type ManualWish } from '../../lib/runner/manual.ts'
import type { ServerSeed } from '../../demo/openstack/simulator.ts'
import { wire, type Installation } from '../../lib/wiring.ts'
import { useWorld } from '../support/fixture.ts'
import { day, imagesOf, stateOf } from '../support/scene.ts'

const fixture = useWorld()
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const pass = async (ms: number) => fixture.world.setClock(new Date(fixture.world.clock().getTime() + ms))

let ids = 0
function installation(env: Record<string, string> = {}, timeLeft: number = Infinity): Installation & { tick(): { now: Date; timeLeftMs: () => number } } {
  const { world } = fixture
  const wired = wire({ env: { ...world.env, ...env }, clock: world.clock, newId: () => `id-${(ids += 1)}`, sleep: pass, log: silent, metrics: { record: () => {} } })
  return { ...wired, tick: () => ({ now: world.clock(), timeLeftMs: () => timeLeft }) }
}

const add = (seed: Partial<ServerSeed> = {}) => fixture.world.openstack.addServer(fixture.world.project, { name: 'web-1', ...seed }).id
const wish = (server: string, given: Partial<ManualWish> = {}): ManualWish => ({ server, cloud: 'default', type: 'manual', rotation: undefined, ...given })

/** One image, as the command asks for it. */
async function ask(server: string, given: Partial<ManualWish> = {}, { ports, tick }: ReturnType<typeof installation> = installation()): Promise<{ asked: Asked; schedule: Schedule }> {
  const schedule = await manualSchedule(wish(server, given), ports)
  const cloud = await ports.clouds.open('default', () => Infinity)
  return { asked: await snapshotNow(schedule, (await cloud.compute.getServer(server))!, cloud, tick(), ports), schedule }
}

async function runOf(server: string, given: Partial<ManualWish> = {}): Promise<Run> {
  const { asked } = await ask(server, given)
  if (asked.kind !== 'run') throw new Error(asked.kind)
  return asked.run
}

/** Has the images that are being made made, and prune look at them. */
async function settle(): Promise<void> {
  await pass(60_000)
  await fixture.service.pruneAt(fixture.world.clock().toISOString())
}

const namesOf = (server: string) => imagesOf(fixture.world, server).map(({ name }) => name)

test('an image is made now, marked as any other, with the second as its period', async () => {
  const id = add()
  fixture.world.setClock(day(1, '06:01:07.500'))
  const run = await runOf(id)
  expect(run).toMatchObject({ status: 'saving', schedule: `manual/manual-${id}`, period: '2026-11-01T06:01:07Z', attempt: 1, imageName: 'Manual-web-1-1793512867' })
  await settle()
  expect(imagesOf(fixture.world, id)).toMatchObject([{
    name: 'Manual-web-1-1793512867',
    properties: { scheduled_images__schedule: `manual/manual-${id}`, scheduled_images__period: '2026-11-01T06:01:07Z', scheduled_images__image: run.image, scheduled_images__run: run.runId },
  }])
  expect(await stateOf(fixture.world, `manual-${id}`, 'manual')).toEqual({
    lastRun: { time: '2026-11-01T06:01:07.500Z', period: '2026-11-01T06:01:07Z', server: id },
    lastGood: { time: expect.any(String), period: '2026-11-01T06:01:07Z', image: run.image },
  })
})

test.each<[what: string, seed: Partial<ServerSeed>]>([['an ordinary server', {}], ['a volume-backed server', { volumeBacked: true }]])('rotation keeps the newest good images of %s', async (_what, seed) => {
  const id = add(seed)
  for (let n = 1; n <= 3; n += 1) {
    await runOf(id, { rotation: 2 })
    await settle()
  }
  await settle()
  expect(namesOf(id)).toHaveLength(2)
  expect(fixture.world.openstack.snapshots()).toHaveLength(seed.volumeBacked ? 2 : 0)
})

test('an image that is not good takes nothing away', async () => {
  const id = add()
  await runOf(id, { rotation: 1 })
  await settle()
  const [first] = namesOf(id)
  fixture.world.openstack.setServer(id, { metadata: { lab_fail: 'snapshot' } })
  await runOf(id, { rotation: 1 })
  await settle()
  expect(namesOf(id)).toEqual([first])
})

test('each type rotates by itself, and its images have its name', async () => {
  const id = add()
  await runOf(id, { rotation: 1 })
  await settle()
  await runOf(id, { type: 'apt', rotation: 1 })
  await settle()
  await runOf(id, { type: 'apt' })
  await settle()
  expect(namesOf(id)).toEqual([expect.stringMatching(/^Manual-web-1-/), expect.stringMatching(/^Apt-web-1-/)])
})

test('without a rotation it stays as it was, and 7 at first; other attributes stay anyway', async () => {
  const id = add()
  const { world } = fixture
  const { ports } = installation()
  const item = () => world.getSchedule('manual', `manual-${id}`)
  await manualSchedule(wish(id), ports)
  expect(await item()).toEqual({ cadence: 'manual', schedule: `manual-${id}`, server: id, cloud: 'default', retention: 7 })
  await world.editSchedule('manual', `manual-${id}`, { imageName: 'mine-{time}', retention: '30' })
  await manualSchedule(wish(id), ports)
  expect(await item()).toMatchObject({ retention: '30', imageName: 'mine-{time}' })
  expect(await manualSchedule(wish(id, { rotation: 2 }), ports)).toMatchObject({ keep: { last: 2 }, imageName: 'mine-{time}' })
  expect(await item()).toMatchObject({ retention: 2, imageName: 'mine-{time}' })
})

test('keep rules that a person wrote stay, but for a rotation that is said', async () => {
  const id = add()
  const { ports } = installation()
  await fixture.world.putSchedule({ cadence: 'manual', schedule: `manual-${id}`, server: id, keep: { weekly: 4 } })
  expect(await manualSchedule(wish(id), ports)).toMatchObject({ keep: { weekly: 4 } })
  expect(await manualSchedule(wish(id, { rotation: 3 }), ports)).toMatchObject({ keep: { last: 3, weekly: 0 } })
})

test.each<[sentence: string, item: object, code: string]>([
  ['that is disabled', { retention: 3, enabled: false }, 'SCHEDULE_DISABLED'],
  ['that has faults', { retention: 3, colour: 'red' }, 'SCHEDULE_INVALID'],
])('a schedule %s makes no image, and is not touched', async (_sentence, attributes, code) => {
  const id = add()
  const item = { cadence: 'manual', schedule: `manual-${id}`, server: id, ...attributes }
  await fixture.world.putSchedule(item)
  await expect(manualSchedule(wish(id, { rotation: 9 }), installation().ports)).rejects.toMatchObject({ code })
  expect(await fixture.world.getSchedule('manual', `manual-${id}`)).toEqual(item)
})

test('a dry run asks for nothing and writes nothing', async () => {
  const id = add()
  const { asked } = await ask(id, {}, installation({ DRY_RUN: 'true' }))
  expect(asked).toEqual({ kind: 'planned', refusal: undefined })
  fixture.world.openstack.setServer(id, { taskState: 'rebuilding' })
  expect((await ask(id, {}, installation({ DRY_RUN: 'true' }))).asked).toMatchObject({ kind: 'planned', refusal: { code: 'SERVER_BUSY' } })
  expect([await fixture.world.schedules(), await fixture.world.runs(), namesOf(id)]).toEqual([[], [], []])
})

test('a busy server is refused, the item says so, and nobody tries again', async () => {
  const id = add()
  fixture.world.openstack.setServer(id, { taskState: 'rebuilding' })
  expect(await runOf(id)).toMatchObject({ status: 'failed', problem: { code: 'SERVER_BUSY' } })
  fixture.world.openstack.setServer(id, { taskState: null })
  for (const n of [2, 3]) await fixture.service.tickAt(day(n))
  expect(namesOf(id)).toEqual([])
  const state = await stateOf(fixture.world, `manual-${id}`, 'manual')
  expect(state['problem']).toContain('is busy')
  expect(state).not.toHaveProperty('next')
  expect((await fixture.world.runs()).filter(({ inFlight }) => inFlight !== undefined)).toEqual([])
  expect(fixture.world.aws.events.map(({ type }) => type)).not.toContain('Scheduled Image Missed')
})

test('of two in one second one makes the image, and the other says so', async () => {
  const id = add({ volumeBacked: true })
  const both = await Promise.allSettled([ask(id), ask(id)])
  expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'SERVER_BUSY' } })
  expect(imagesOf(fixture.world, id)).toHaveLength(1)
})

test('a server has one image made at a time, also where OpenStack would take two requests', async () => {
  const id = add({ volumeBacked: true })
  // Its volume snapshot is not finished.
  await fixture.world.openstack.setVolume(fixture.world.openstack.volumes()[0]!.id, { metadata: { lab_delay: '600' } })
  await runOf(id)
  await pass(1000)
  expect(await runOf(id, { type: 'apt' })).toMatchObject({ status: 'failed', problem: { code: 'SERVER_BUSY' } })
  expect(imagesOf(fixture.world, id)).toHaveLength(1)
})

test('an earlier image that nobody has settled is settled first, and is in no way', async () => {
  const id = add()
  const first = await runOf(id)
  await pass(60_000)
  expect(await runOf(id)).toMatchObject({ status: 'saving' })
  expect((await fixture.world.runs()).find(({ runId }) => runId === first.runId)).toMatchObject({ status: 'good' })
})

test('when no time is left nothing is claimed', async () => {
  const id = add()
  expect((await ask(id, {}, installation({}, 1000))).asked).toEqual({ kind: 'not asked' })
  expect(await fixture.world.runs()).toEqual([])
})

test('an image whose answer was lost is found when the lease is over', async () => {
  const id = add()
  fixture.world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  expect(await runOf(id)).toMatchObject({ status: 'starting', problem: { code: 'ANSWER_LOST' } })
  for (const minute of ['05', '15', '20']) await fixture.service.pruneAt(day(1, `00:${minute}:00`))
  expect((await fixture.world.runs()).filter(({ runId }) => runId !== undefined)).toMatchObject([{ status: 'good' }])
})

test('a command that died before the answer leaves a run that fails by itself', async () => {
  const id = add()
  const { ports, tick } = installation()
  const schedule = await manualSchedule(wish(id), ports)
  const cloud = await ports.clouds.open('default', () => Infinity)
  const dying = { ...cloud, project: cloud.project, maxInFlight: 1, maxInFlightPerHost: 1, image: cloud.image, blockStorage: cloud.blockStorage, compute: { createImage: () => Promise.reject(new Error('killed')) } }
  await expect(snapshotNow(schedule, (await cloud.compute.getServer(id))!, dying as never, tick(), ports)).rejects.toThrow('killed')
  expect(await fixture.world.runs()).toMatchObject([{ status: 'starting', inFlight: 'default' }])
  for (const time of ['00:15:00', '00:30:00', '01:20:00']) await fixture.service.pruneAt(day(1, time))
  expect((await fixture.world.runs()).filter(({ inFlight }) => inFlight !== undefined)).toEqual([])
  expect((await fixture.world.runs()).find(({ runId }) => runId !== undefined)).toMatchObject({ status: 'failed', problem: { code: 'ANSWER_LOST' } })
})

async function awaited(id: string, until: 'captured' | 'good', timeLeft?: number) {
  const { ports, tick } = installation()
  const run = await runOf(id, { rotation: 1 })
  const phases: string[] = []
  const cloud = await ports.clouds.open('default', () => Infinity)
  const end = await awaitRun(run, until, cloud, { ...tick(), ...(timeLeft !== undefined && { timeLeftMs: () => timeLeft }) }, ports, (phase) => phases.push(phase))
  return { end, phases: [...new Set(phases)] }
}

test('whoever waits sees the image become good, and older ones go', async () => {
  const id = add({ metadata: { lab_delay: '10', lab_upload: '10' } })
  await runOf(id, { rotation: 1 })
  await settle()
  const { end, phases } = await awaited(id, 'good')
  expect(phases).toEqual(['queued', 'saving', 'active'])
  expect(end.status).toBe('good')
  expect(namesOf(id)).toEqual([end.imageName])
})

test('whoever waits for the disk alone waits until it is being uploaded', async () => {
  const { end, phases } = await awaited(add({ metadata: { lab_delay: '10', lab_upload: '10' } }), 'captured')
  expect(phases).toEqual(['queued'])
  expect(end.status).toBe('saving')
})

test('whoever waits for the disks of volumes waits until the image is good', async () => {
  const id = add({ volumeBacked: true })
  expect((await awaited(id, 'captured')).end.status).toBe('good')
})

test('whoever waits learns of a failure, and stops when no time is left', async () => {
  const failing = await awaited(add({ metadata: { lab_fail: 'snapshot' } }), 'good')
  expect(failing.end).toMatchObject({ status: 'failed', problem: { code: 'IMAGE_GONE' } })
  const { end } = await awaited(add({ name: 'web-2', metadata: { lab_delay: '600' } }), 'good', 1000)
  expect(end.status).toBe('saving')
})

test('whoever waits for an image that will never be there learns of it after 6 hours', async () => {
  const { ports, tick } = installation()
  const run = await runOf(add({ metadata: { lab_fail: 'queued' } }))
  const looks: string[] = []
  const end = await awaitRun(run, 'good', await ports.clouds.open('default', () => Infinity), tick(), { ...ports, sleep: () => pass(3_600_000) }, (phase) => looks.push(phase))
  expect(end).toMatchObject({ status: 'failed', problem: { code: 'IMAGE_STUCK' } })
  expect(looks).toEqual(Array(7).fill('queued'))
})

test('the timers never ask when a manual schedule runs', async () => {
  const id = add()
  await manualSchedule(wish(id), installation().ports)
  for (const n of [1, 2, 3]) await fixture.service.tickAt(day(n))
  expect(await stateOf(fixture.world, `manual-${id}`, 'manual')).toEqual({})
})

test('of an image that failed, no line speaks of another attempt', async () => {
  const id = add({ metadata: { lab_fail: 'snapshot' } })
  await runOf(id)
  await settle()
  const line = fixture.service.lines.find(({ level }) => level === 'warn')
  expect(line!.message).toMatch(/Attempt 1 failed, and there is none after it in this period\.$/)
})
