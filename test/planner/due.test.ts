import { expect, test } from 'vitest'
import type { Run } from '../../lib/model/run.ts'
import { spreadOf } from '../../lib/planner/calendar.ts'
import { busySince, decideDue, isSelectorDue, retryAt, retrySentence, turnsAt, type Decision } from '../../lib/planner/due.ts'
import { id, run, schedule, web1 } from '../support/builders.ts'

const today = new Date('2026-11-21T01:00:00Z')
const tomorrow = new Date('2026-11-22T01:00:00Z')
const longAgo = new Date('2026-01-01T00:00:00Z')

interface Given {
  item?: Record<string, unknown>
  since?: Date
  now?: Date
  current?: Partial<Run>
  previous?: Partial<Run>
}

function decided({ item = {}, since = longAgo, now = new Date('2026-11-21T08:00:00Z'), current, previous }: Given): Decision {
  const daily = schedule(item)
  const runs = { current: current && run(current), previous: previous && run({ period: '2026-11-20', ...previous }) }
  return decideDue(daily, web1, turnsAt(daily, web1, now), runs, since, now)
}

test.each<[sentence: string, given: Given, attempt: number]>([
  ['no run of this period yet', {}, 1],
  ['at the very instant', { now: today }, 1],
  ['after any number of missed ticks', { now: new Date('2026-11-21T23:59:59Z') }, 1],
  ['a failed run whose time has come', { current: { status: 'failed', retryAt: new Date('2026-11-21T08:00:00Z') } }, 2],
  ['the period before ended badly', { previous: { status: 'missed' } }, 1],
  ['seen in time for its first instant', { since: today }, 1],
  ['onEnable now starts the latest turn at once', { item: { onEnable: 'now' }, since: new Date('2026-11-21T08:00:00Z') }, 1],
])('due: %s', (_sentence, given, attempt) => {
  expect(decided(given)).toMatchObject({ kind: 'due', attempt, turn: { period: '2026-11-21', startsAt: today }, until: tomorrow })
})

test.each<[sentence: string, given: Given, reason: string, next: Date]>([
  ['good', { current: { status: 'good' } }, 'this period has its good image', tomorrow],
  ['starting', { current: { status: 'starting' } }, 'the image of this period is being made', tomorrow],
  ['saving', { current: { status: 'saving' } }, 'the image of this period is being made', tomorrow],
  ['missed', { current: { status: 'missed' } }, 'this period was given up', tomorrow],
  ['failed a moment ago', { current: { status: 'failed', retryAt: new Date('2026-11-21T08:15:00Z') } }, 'the last attempt failed and the next one is later', new Date('2026-11-21T08:15:00Z')],
  ['failed, and the next period comes first', { current: { status: 'failed', retryAt: new Date('2026-11-22T03:00:00Z') } }, 'the last attempt failed and the next one is later', tomorrow],
  ['the previous image was asked for, and is not answered', { previous: { status: 'starting' } }, 'the image of the previous period is still being made', tomorrow],
  ['the previous image takes longer than a day', { previous: { status: 'saving' } }, 'the image of the previous period is still being made', tomorrow],
  ['enabled after its instant', { since: new Date('2026-11-21T01:00:01Z') }, 'the schedule is waiting for its first instant', tomorrow],
])('not due: %s', (_sentence, given, reason, next) => {
  expect(decided(given)).toMatchObject({ kind: 'not due', reason, next })
})

test("a server's turns begin with its share of the spread; while it is not known, at the earliest that any has", () => {
  const spread = schedule({ spread: 60 })
  const startOf = (server: string | undefined) => turnsAt(spread, server, new Date('2026-11-21T08:00:00Z')).current.startsAt
  expect(startOf(undefined)).toEqual(today)
  expect(startOf(web1)).toEqual(new Date(today.getTime() + spreadOf(spread, web1) * 60_000))
  expect(startOf(web1)).not.toEqual(today)
})

test('a period that ended with a failed run is missed, once the next one has begun', () => {
  expect(decided({ previous: { status: 'failed' } })).toMatchObject({ kind: 'due', missed: { period: '2026-11-20', status: 'failed' } })
  expect(decided({ previous: { status: 'good' } })).not.toHaveProperty('missed')
})

test('a period in which nothing was attempted is lost, if the schedule counted and had run for this server before', () => {
  const ran = (period: string, server = web1) => ({ state: { lastRun: { time: '2026-11-19T01:00:00Z', period, server } } })
  const unattempted = { unattempted: { period: '2026-11-20' } }
  expect(decided({ item: ran('2026-11-19') })).toMatchObject({ kind: 'due', ...unattempted })
  expect(decided({ item: ran('2026-11-20') })).not.toHaveProperty('unattempted')
  expect(decided({ item: ran('2026-11-19', id(7)) })).not.toHaveProperty('unattempted')
  expect(decided({})).not.toHaveProperty('unattempted')
  expect(decided({ item: ran('2026-11-19'), since: new Date('2026-11-20T01:00:00Z') })).toMatchObject(unattempted)
  expect(decided({ item: ran('2026-11-19'), since: today })).not.toHaveProperty('unattempted')
  expect(decided({ item: ran('2026-11-19'), previous: { status: 'missed' } })).not.toHaveProperty('unattempted')
})

test.each<[sentence: string, code: Parameters<typeof retryAt>[1], minutes: readonly number[]]>([
  ['a failure waits about 15 minutes, doubling to 4 hours', 'IMAGE_GONE', [14, 29, 59, 119, 239, 239]],
  ['so does a server in a state that allows no image', 'SERVER_STATE', [14, 29, 59, 119, 239, 239]],
  ['a lost answer waits half an hour at least', 'ANSWER_LOST', [29, 29, 59, 119, 239, 239]],
  ['a busy server waits 15 minutes each time', 'SERVER_BUSY', [14, 14, 14, 14, 14, 14]],
  ['so does a cloud that cannot be entered', 'CLOUD_AUTH_FAILED', [14, 14, 14, 14, 14, 14]],
  ['a stuck server waits an hour each time', 'SERVER_STUCK', [59, 59, 59, 59, 59, 59]],
  ['so does a used-up quota', 'QUOTA_IMAGES', [59, 59, 59, 59, 59, 59]],
  ['so does that of volume snapshots', 'QUOTA_VOLUME_SNAPSHOTS', [59, 59, 59, 59, 59, 59]],
  ['so does a locked server', 'SERVER_LOCKED', [59, 59, 59, 59, 59, 59]],
  ['so does one that cannot be quiesced', 'QUIESCE_NOT_REQUIRED', [59, 59, 59, 59, 59, 59]],
  ['so does a used-up quota of volume snapshots', 'QUOTA_VOLUME_SNAPSHOTS', [59, 59, 59, 59, 59, 59]],
  ['so does one that cannot be quiesced for certain', 'QUIESCE_NOT_REQUIRED', [59, 59, 59, 59, 59, 59]],
  ['one that did not stop is as any failure', 'SERVER_NOT_STOPPED', [14, 29, 59, 119, 239, 239]],
  ['a server that does not exist is looked for every 4 hours', 'SERVER_NOT_FOUND', [239, 239, 239, 239, 239, 239]],
])('%s', (_sentence, code, minutes) => {
  expect([1, 2, 3, 4, 5, 6].map((attempt) => (retryAt(attempt, code, today).getTime() - today.getTime()) / 60_000)).toEqual(minutes)
})

test('a failed attempt is told of with the next one, if there is one in this period', () => {
  expect(retrySentence(1, new Date('2026-11-21T01:14:59Z'), tomorrow)).toBe('Attempt 1 failed; the next one is made after 2026-11-21 01:14 UTC.')
  expect(retrySentence(9, new Date(tomorrow.getTime() - 1), tomorrow)).toBe('Attempt 9 failed; the next one is made after 2026-11-22 00:59 UTC.')
  expect(retrySentence(10, tomorrow, tomorrow)).toBe('Attempt 10 failed, and there is none after it in this period.')
})

const fleet = (next: string | undefined, tried?: string) =>
  schedule({ server: undefined, selector: { name: '*' }, at: '01:00', spread: 60, state: { ...(next && { next }), ...(tried && { lastRun: { time: tried, period: '2026-11-21', server: web1 } }) } })

test.each<[sentence: string, next: string | undefined, now: string, due: boolean, tried?: string]>([
  ['when it was never looked at', undefined, '2026-11-21T20:00:00Z', true],
  ['when what its item says cannot be read', 'soon', '2026-11-21T20:00:00Z', true],
  ['when one of its servers is next', '2026-11-21T20:00:00.000Z', '2026-11-21T20:00:00Z', true],
  ['not a moment before that', '2026-11-21T20:00:00.000Z', '2026-11-21T19:59:59Z', false],
  ['when its turn has begun, whatever its item says', '2026-11-28T01:00:00.000Z', '2026-11-21T01:00:00Z', true],
  ['until an hour after the last server can have started', '2026-11-28T01:00:00.000Z', '2026-11-21T02:59:59Z', true],
  ['and no longer', '2026-11-28T01:00:00.000Z', '2026-11-21T03:00:00Z', false],
  ['until an hour after the last attempt, which may have ended before it wrote what became of it', '2026-11-28T01:00:00.000Z', '2026-11-21T08:59:59Z', true, '2026-11-21T08:00:00.000Z'],
  ['and no longer than that', '2026-11-28T01:00:00.000Z', '2026-11-21T09:00:00Z', false, '2026-11-21T08:00:00.000Z'],
  ['not for an attempt that was written while a clock was wrong', '2026-11-28T01:00:00.000Z', '2026-11-21T09:00:00Z', false, '2026-12-21T08:00:00.000Z'],
])('a selector is looked at %s', (_sentence, next, now, due, tried) => {
  expect(isSelectorDue(fleet(next, tried), new Date(now))).toBe(due)
})

test('a server is busy since the first attempt that found it so, without a break', () => {
  const failed = (code: 'SERVER_BUSY' | 'SERVER_STUCK' | 'IMAGE_GONE', since?: Date) => run({ status: 'failed', startedAt: today, problem: { code, message: '' }, ...(since && { busySince: since }) })
  const earlier = new Date('2026-11-20T01:00:00Z')
  expect(busySince(failed('SERVER_BUSY'))).toEqual(today)
  expect(busySince(failed('SERVER_BUSY', earlier))).toEqual(earlier)
  expect(busySince(failed('SERVER_STUCK', earlier))).toEqual(earlier)
  expect(busySince(failed('IMAGE_GONE', earlier))).toBeUndefined()
  expect(busySince(run({ status: 'failed' }))).toBeUndefined()
  expect(busySince(undefined)).toBeUndefined()
})
