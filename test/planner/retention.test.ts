import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import { keepLast } from '../../lib/model/keep.ts'
import type { Schedule } from '../../lib/model/schedule.ts'
import { planRetention } from '../../lib/planner/retention.ts'
import { id, image, mapping, project, schedule, sealed, web1, web2 } from '../support/builders.ts'

const day = (n: number) => new Date(Date.UTC(2026, 10, n, 1))
const plan = (images: readonly Image[], item: Record<string, unknown> = {}, statuses?: ReadonlyMap<string, string>, existing = ['daily/web-1']) =>
  planRetention(images, [schedule(item)], new Set(existing), project, statuses)

/** Each row: what an image is like, and what becomes of it with retention 2; newest first. */
describe.each<[rule: string, images: [attributes: Partial<Image>, fate: string][], statuses?: Record<string, string>]>([
  ['the newest good images up to retention are kept, whatever their age', [
    [{ createdAt: day(21) }, 'kept: good image 1 of 2'],
    [{ createdAt: new Date('2019-01-01') }, 'kept: good image 2 of 2'],
    [{ createdAt: new Date('2018-01-01') }, 'deleted: 2 newer good images are kept'],
  ]],
  ['case 41: only good images count', [
    [{ createdAt: day(23), status: 'queued' }, 'kept: it is not good and not counted: its status is queued'],
    [{ createdAt: day(22), status: 'deactivated' }, 'kept: it is not good and not counted: its status is deactivated'],
    [{ createdAt: day(21) }, 'kept: good image 1 of 2'],
    [{ createdAt: day(20) }, 'kept: good image 2 of 2'],
    [{ createdAt: day(19) }, 'deleted: 2 newer good images are kept'],
  ]],
  ['case 12: a protected image is kept, and takes no place', [
    [{ createdAt: day(21), protected: true }, 'kept: it is protected, and not counted'],
    [{ createdAt: day(20) }, 'kept: good image 1 of 2'],
    [{ createdAt: day(19) }, 'kept: good image 2 of 2'],
    [{ createdAt: day(18) }, 'deleted: 2 newer good images are kept'],
  ]],
  ['case 45: images of one second are told apart by id', [
    [{ createdAt: day(21), id: id(9) }, 'kept: good image 1 of 2'],
    [{ createdAt: day(21), id: id(8) }, 'kept: good image 2 of 2'],
    [{ createdAt: day(21), id: id(7) }, 'deleted: 2 newer good images are kept'],
  ]],
  ['case 15: a volume-backed image counts only while each of its volume snapshots is available', [
    [{ createdAt: day(23), properties: mapping(id(101), id(102)) }, `kept: it is not good and not counted: its volume snapshot ${id(102)} is error`],
    [{ createdAt: day(22), properties: mapping(id(103)) }, `kept: it is not good and not counted: its volume snapshot ${id(103)} does not exist`],
    [{ createdAt: day(21), properties: mapping(id(104)) }, 'kept: good image 1 of 2'],
    [{ createdAt: day(20), properties: mapping(id(105)) }, 'kept: good image 2 of 2'],
    [{ createdAt: day(19), properties: mapping(id(106)) }, 'deleted: 2 newer good images are kept'],
  ], { [id(101)]: 'available', [id(102)]: 'error', [id(104)]: 'available', [id(105)]: 'available', [id(106)]: 'available' }],
  ['case 52: an image whose mapping cannot be read is kept', [
    [{ createdAt: day(21), properties: { block_device_mapping: 'not JSON' } }, 'kept: it is not good and not counted: its block_device_mapping cannot be read'],
    [{ createdAt: day(20), properties: { block_device_mapping: JSON.stringify([{ source_type: 'volume', volume_id: id(5) }]) } }, 'kept: it is not good and not counted: its block_device_mapping cannot be read'],
  ]],
])('planRetention: %s', (_rule, rows, statuses) => {
  const images = rows.map(([attributes], n) => sealed({ id: id(50 - n), ...attributes }))

  test.each([['newest first', images], ['oldest first', images.toReversed()]])('listed %s', (_order, listing) => {
    const [only, ...others] = plan(listing, { retention: 2 }, statuses && new Map(Object.entries(statuses)))
    expect(others).toEqual([])
    const fates = new Map([
      ...only!.keep.map(({ image, reason }) => [image.id, `kept: ${reason}`] as const),
      ...only!.remove.map(({ image, reason }) => [image.id, `deleted: ${reason}`] as const),
    ])
    expect(images.map(({ id }) => fates.get(id))).toEqual(rows.map(([, fate]) => fate))
    expect(only!.remove.map(({ image }) => image.id)).toEqual(images.filter(({ id }) => fates.get(id)!.startsWith('deleted')).map(({ id }) => id).toReversed())
  })
})

test('by keep rules only images that count are the newest of a day, or the oldest, of the schedule\'s zone', () => {
  const images = [
    sealed({ id: id(6), createdAt: new Date('2026-11-21T22:00:00Z'), protected: true }),
    sealed({ id: id(5), createdAt: new Date('2026-11-21T21:00:00Z'), hidden: true }),
    sealed({ id: id(4), createdAt: new Date('2026-11-21T20:00:00Z'), status: 'deactivated' }),
    sealed({ id: id(3), createdAt: new Date('2026-11-21T19:00:00Z') }),
    sealed({ id: id(2), createdAt: new Date('2026-11-20T19:00:00Z') }),
    sealed({ id: id(1), createdAt: new Date('2026-11-20T18:00:00Z') }),
    sealed({ id: id(0), createdAt: new Date('2026-11-19T18:00:00Z'), size: 0 }),
  ]
  const [only] = plan(images, { retention: undefined, keep: { daily: '2', monthly: 2 }, timeZone: 'Asia/Kathmandu' })
  expect(only!.rules).toEqual({ ...keepLast(0), daily: 2, monthly: 2 })
  expect(only!.keep.map(({ image, reason }) => [image.id, reason])).toEqual([
    [id(6), 'it is protected, and not counted'],
    [id(5), 'it is hidden, and not counted'],
    [id(4), 'it is not good and not counted: its status is deactivated'],
    [id(3), 'the newest of 2026-11-22 (daily 1 of 2); the newest of 2026-11 (monthly 1 of 2)'],
    [id(2), 'the newest of 2026-11-21 (daily 2 of 2)'],
    [id(1), 'the oldest (monthly 2 of 2)'],
    [id(0), 'it is not good and not counted: it is empty'],
  ])
  expect(only!.remove).toEqual([])
})

test('images that are not provably ours are in no plan', () => {
  const inherited = { ...sealed(), id: id(2) }
  expect(plan([inherited, image(), sealed({ owner: 'somebody-else' })])).toEqual([])
})

test('an image of a schedule that does not exist is in no plan, unless another adopts it', () => {
  const old = sealed({ properties: { [marks.schedule]: 'weekly/web-1' } })
  expect(plan([old])).toEqual([])
  expect(plan([old], { adopts: ['weekly/web-1'] })).toMatchObject([{ schedule: 'daily/web-1', keep: [{ image: old }] }])
})

test("only images of the adopter's own server are adopted, and none that two schedules lay claim to", () => {
  const of = (server: string) => sealed({ id: id(server === web1 ? 1 : 2), properties: { [marks.schedule]: 'weekly/old', [marks.server]: server } })
  const adopter = (name: string, server: string) => schedule({ schedule: name, server, retention: 1, adopts: ['weekly/old'] })
  const plans = (...schedules: Schedule[]) => planRetention([of(web1), of(web2)], schedules, new Set(), project, undefined).map((one) => [one.schedule, one.server])
  expect(plans(adopter('a', web1))).toEqual([['daily/a', web1]])
  expect(plans(adopter('a', web1), adopter('b', web2))).toEqual([['daily/a', web1], ['daily/b', web2]])
  expect(plans(adopter('a', web1), adopter('b', web1))).toEqual([])
})

test('a schedule that gives its server by name adopts the images of the server that it meant last, and none before', () => {
  const old = sealed({ properties: { [marks.schedule]: 'weekly/web-1' } })
  const byName = { server: 'web-1', adopts: ['weekly/web-1'] }
  expect(plan([old], byName)).toEqual([])
  expect(plan([old], { ...byName, state: { lastRun: { time: '2026-11-20T01:00:00Z', period: '2026-11-20', server: web1 } } })).toMatchObject([{ keep: [{ image: old }] }])
})

test('a schedule with a selector adopts the images of every server, and none that another schedule lays claim to as well', () => {
  const of = (server: string, n: number) => sealed({ id: id(n), properties: { [marks.schedule]: 'weekly/old', [marks.server]: server } })
  const bySelector = (name: string, state = {}) => schedule({ schedule: name, server: undefined, selector: { name: '*' }, adopts: ['weekly/old', 'weekly/old'], state })
  const byId = (server: string) => schedule({ schedule: server, server, adopts: ['weekly/old'] })
  const plans = (schedules: Schedule[], existing: string[] = []) =>
    planRetention([of(web1, 1), of(web2, 2)], schedules, new Set(existing), project, undefined).map((one) => [one.schedule, one.server])
  expect(plans([bySelector('all')])).toEqual([['daily/all', web1], ['daily/all', web2]])
  expect(plans([bySelector('all', { lastRun: { time: '2026-11-20T01:00:00Z', period: '2026-11-20', server: web2 } })])).toEqual([['daily/all', web1], ['daily/all', web2]])
  expect(plans([bySelector('all')], ['weekly/old'])).toEqual([])
  expect(plans([bySelector('all'), bySelector('again')])).toEqual([])
  for (const two of [[bySelector('all'), byId(web1)], [byId(web1), bySelector('all')]]) expect(plans(two)).toEqual([['daily/all', web2]])
  expect(plans([byId(web1), bySelector('all'), schedule({ schedule: 'again', adopts: ['weekly/old'] })])).toEqual([['daily/all', web2]])
})

test('a schedule that keeps one image says so', () => {
  const [only] = plan([sealed({ id: id(2), createdAt: day(21) }), sealed({ id: id(1), createdAt: day(20) })], { retention: 1 })
  expect(only!.remove).toMatchObject([{ image: { id: id(1) }, reason: 'a newer good image is kept', snapshots: [] }])
})

test('a schedule that exists, however broken its item is, cannot be adopted', () => {
  const theirs = sealed({ properties: { [marks.schedule]: 'weekly/web-1' } })
  expect(plan([theirs], { adopts: ['weekly/web-1'] }, undefined, ['daily/web-1', 'weekly/web-1'])).toEqual([])
})

test('each server has its own pool', () => {
  const images = [sealed({ id: id(1) }), sealed({ id: id(2), properties: { [marks.server]: web2 } })]
  expect(plan(images, { retention: 1 }).map(({ server, keep, remove }) => [server, keep.length, remove.length])).toEqual([
    [images[0]!.properties[marks.server], 1, 0],
    [web2, 1, 0],
  ])
})

test('case 47: the volume snapshots of a deleted image go with it, but none that another image names', () => {
  const images = [
    sealed({ id: id(3), createdAt: day(21), properties: mapping(id(101)) }),
    sealed({ id: id(2), createdAt: day(20), properties: mapping(id(101), id(102)) }),
  ]
  const statuses = new Map([[id(101), 'available'], [id(102), 'available']])
  expect(plan(images, { retention: 1 }, statuses)[0]!.remove).toMatchObject([{ image: { id: id(2) }, snapshots: [id(102)] }])
})

test('without a listing of volume snapshots no volume-backed image is deleted, and the others are judged as ever', () => {
  const images = [
    sealed({ id: id(4), createdAt: day(21) }),
    sealed({ id: id(3), createdAt: day(20), properties: mapping(id(101)) }),
    sealed({ id: id(2), createdAt: day(19) }),
  ]
  expect(plan(images, { retention: 1 })[0]!.remove.map(({ image }) => image.id)).toEqual([id(2)])
})

test('the laws hold for any set of images', () => {
  const anyImage = fc.record({
    createdAt: fc.integer({ min: 1, max: 9 }).map(day),
    status: fc.constantFrom('active', 'active', 'active', 'queued', 'saving', 'deactivated'),
    protected: fc.constantFrom(false, false, false, true),
    size: fc.constantFrom(16_384, 0, null),
    mine: fc.constantFrom(true, true, true, false),
  })
  fc.assert(
    fc.property(fc.array(anyImage, { maxLength: 30 }), fc.integer({ min: 1, max: 8 }), (drawn, retention) => {
      const images = drawn.map(({ mine, ...attributes }, n) => (mine ? sealed : image)({ id: id(n), ...attributes }))
      const good = images.filter((one, n) => drawn[n]!.mine && one.status === 'active' && one.size && !one.protected)
      const [{ keep, remove } = { keep: [], remove: [] }] = plan(images, { retention })

      const planned = [...keep, ...remove].map(({ image }) => image.id)
      expect(new Set(planned).size).toBe(planned.length)
      expect(planned.length).toBe(drawn.filter(({ mine }) => mine).length)
      expect(remove.every(({ image }) => good.includes(image))).toBe(true)
      expect(good.length - remove.length).toBe(Math.min(good.length, retention))
      const oldestKept = good.filter((one) => keep.some(({ image }) => image === one)).map(({ createdAt }) => createdAt.getTime())
      for (const { image } of remove) expect(image.createdAt.getTime()).toBeLessThanOrEqual(Math.min(...oldestKept))
    }),
    { numRuns: 500 },
  )
})
