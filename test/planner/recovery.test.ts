import { describe, expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import type { Run } from '../../lib/model/run.ts'
import type { ScheduleState } from '../../lib/model/schedule.ts'
import { findForgotten, isForgotten, recoveredRun, rememberedOf } from '../../lib/planner/recovery.ts'
import { id, image, project, run, schedule, sealed, server, web1, web2 } from '../support/builders.ts'

const today = '2026-11-21'
const yesterday = '2026-11-20'
const startsAt = new Date('2026-11-21T01:00:00Z')
const turn = { period: today, startsAt }
const ran = (period: string, time = `${period}T01:00:07.000Z`, of = web1) => ({ lastRun: { time, period, server: of } })
const good = (period: string) => ({ lastGood: { time: `${period}T01:00:09Z`, period, image: id(1) } })

test.each<[sentence: string, forgotten: boolean, state: ScheduleState, run: Partial<Run> | undefined]>([
  ['the item remembers an attempt of this turn, and the table none', true, ran(today), undefined],
  ['the item remembers a good image of this turn, and the table nothing', true, { ...ran(yesterday), ...good(today) }, undefined],
  ['the item remembers a good image of this turn, and the table a failure', true, { ...ran(today), ...good(today) }, { status: 'failed' }],
  ['the item has never run', false, {}, undefined],
  ['the item remembers the turn before', false, { ...ran(yesterday), ...good(yesterday) }, undefined],
  ['the item remembers a failure of the turn before', false, ran(yesterday), undefined],
  ['both remember that the turn failed', false, ran(today), { status: 'failed' }],
  ['both remember that the turn failed, and the turn before was good', false, { ...ran(today), ...good(yesterday) }, { status: 'failed' }],
  ['both remember that the turn is good', false, { ...ran(today), ...good(today) }, { status: 'good' }],
  ['what the item remembers is of another server', false, { ...ran(today, undefined, web2), ...good(today) }, undefined],
  ['what the item remembers is a good image alone, of whatever server', false, good(today), undefined],
])('%s: forgotten %s', (_sentence, forgotten, state, given) => {
  expect(isForgotten({ state }, web1, turn, given && run(given))).toBe(forgotten)
})

describe('the image of a forgotten run', () => {
  const attempt = '2026-11-21T01:15:00.000Z'
  const name = `Daily-web-1-${Date.parse(attempt) / 1000}`
  const found = (images: readonly Image[], state: ScheduleState = ran(today, attempt)) => findForgotten(schedule({ state }), server(), turn, images, project)

  test.each<[sentence: string, image: Image, state?: ScheduleState]>([
    ['a sealed image of the turn', sealed()],
    ['a sealed image of the turn, whatever it is named', sealed({ name: 'renamed' }), {}],
    ['an unsealed image with the name that the last attempt gave it', image({ name })],
  ])('is %s', (_sentence, one, state) => {
    expect(found([image({ id: id(8), name: 'by-hand' }), one], state)).toBe(one)
  })

  test.each<[sentence: string, image: Image, state?: ScheduleState]>([
    ['an unsealed image of another name: it may have inherited its marks', image({ name: 'by-hand' })],
    ['an unsealed image, while no attempt is known', image({ name: 'undefined' }), {}],
    ["an image that has inherited another's seal, though it has the name", { ...sealed({ name }), id: id(2) }],
    ['an image without the mark of a run', { ...image({ name }), properties: Object.fromEntries(Object.entries(image().properties).filter(([key]) => key !== marks.run)) }],
    ['an image of another project', sealed({ owner: 'somebody-else' })],
    ['an image whose mark a person took away', sealed({ properties: { [marks.createdBy]: '' } })],
    ['an unsealed image whose mark a person took away', image({ name, properties: { [marks.createdBy]: '' } })],
    ['an unsealed image of another project', image({ name, owner: 'somebody-else' })],
    ['an image of another server', sealed({ properties: { [marks.server]: web2 } })],
    ['an image of another schedule', sealed({ properties: { [marks.schedule]: 'weekly/web-1' } })],
    ['an image of another turn', sealed({ properties: { [marks.period]: yesterday } })],
  ])('is not %s', (_sentence, one, state) => {
    expect(found([one], state)).toBeUndefined()
  })

  test('is rather the sealed one', () => {
    const images = [image({ id: id(2), name }), sealed()]
    expect(found(images)).toBe(images[1])
  })
})

test('a forgotten run is written down anew, as saving', () => {
  const until = new Date('2026-11-22T01:00:00Z')
  expect(recoveredRun(schedule({ cloud: 'blue' }), server({ volumes: ['volume-1'] }), turn, until, image())).toEqual({
    cloud: 'blue', server: web1, serverName: 'web-1', schedule: 'daily/web-1', period: today, status: 'saving', runId: 'run-1', attempt: 1,
    scheduledFor: startsAt, until, startedAt: image().createdAt, leaseUntil: image().createdAt, volumes: ['volume-1'], imageName: 'Daily-web-1-1', image: id(1),
  })
})

test('a forgotten run whose image lost the mark of it has the id of its image', () => {
  const { [marks.run]: _run, ...properties } = sealed().properties
  expect(recoveredRun(schedule(), server(), turn, startsAt, { ...sealed(), properties })).toMatchObject({ runId: id(1) })
})

const started = { time: '2026-11-21T01:00:00.000Z', period: today, server: web1 }
const made = { time: '2026-11-21T01:00:05.000Z', period: today, image: id(1) }

test.each<[sentence: string, state: ScheduleState, run: Partial<Run>, remembered: ReturnType<typeof rememberedOf>]>([
  ['a run that the item does not know', {}, {}, { lastRun: started }],
  ['a run of a later turn than the item knows', ran(yesterday), {}, { lastRun: started }],
  ['a later attempt than the item knows', ran(today, '2026-11-21T00:59:59.000Z'), { status: 'failed' }, { lastRun: started }],
  ['the attempt that the item knows', ran(today, '2026-11-21T01:00:00.000Z'), {}, {}],
  ['an earlier attempt than the item knows', ran(today, '2026-11-21T01:15:00.000Z'), {}, {}],
  ['a run of an earlier turn than the item knows, though it began later', ran('2026-11-22', '2026-11-20T01:00:00.000Z'), {}, {}],
  ['a turn in which nothing was tried', {}, { status: 'missed' }, {}],
  ['a good run that the item does not know', { lastRun: started }, { status: 'good', createdAt: new Date(made.time) }, { lastGood: made }],
  ['a good run of a later turn than the item knows', { lastRun: started, ...good(yesterday) }, { status: 'good', createdAt: new Date(made.time) }, { lastGood: made }],
  ['a good run that the item knows', { lastRun: started, lastGood: made }, { status: 'good', createdAt: new Date(made.time) }, {}],
  ['a good run of an earlier turn than the item knows', { ...ran('2026-11-22'), ...good('2026-11-22') }, { status: 'good' }, {}],
  ['a good run of which is not known when its image was made', { lastRun: started }, { status: 'good' }, { lastGood: { ...made, time: started.time } }],
])('to be remembered of %s', (_sentence, state, given, remembered) => {
  expect(rememberedOf({ state }, run(given))).toEqual(remembered)
})
