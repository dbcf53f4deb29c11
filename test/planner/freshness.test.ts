import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ParsedSchedule } from '../../lib/model/schedule.ts'
import { latestTurn, nextTurn, spreadOf, turnBefore, type Turn } from '../../lib/planner/calendar.ts'
import { freshnessOf } from '../../lib/planner/freshness.ts'
import { id, schedule, web1 } from '../support/builders.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const longAgo = '2026-01-01T00:00:00Z'

interface State {
  since?: string | undefined
  /** When the last good image was made; its period is that date, but for what is given. */
  good?: string
  period?: string
  ran?: string
}

function parsed({ since = longAgo, good, period, ran }: State, item: Record<string, unknown> = {}): ParsedSchedule {
  const state = {
    ...(since && { since }),
    ...(good && { lastGood: { time: good, period: period ?? good.slice(0, 10), image: id(1) } }),
    ...(ran && { lastRun: { time: good ?? longAgo, period: '2026-11-20', server: ran } }),
  }
  return { valid: true, schedule: schedule({ ...item, state }) }
}

const weekly = { cadence: 'weekly', dayOfWeek: 'sunday' }
const custom = (cron: string) => ({ cadence: 'custom', cron, at: undefined })
const never = { since: '' }
const moved = { good: '2026-11-20T23:00:05Z', period: '2026-11-20' }

// 2026-11-15 and 2026-11-22 are Sundays.
test.each<[sentence: string, state: State, item: Record<string, unknown>, now: string, verdict: string]>([
  ['a daily one, a moment after its image', { good: '2026-11-20T01:00:05Z' }, {}, '2026-11-20T01:20:00Z', 'fresh'],
  ['until its next turn', { good: '2026-11-20T01:00:05Z' }, {}, '2026-11-21T00:59:59Z', 'fresh'],
  ['from its very instant', { good: '2026-11-20T01:00:05Z' }, {}, '2026-11-21T01:00:00Z', 'late'],
  ['for six hours', { good: '2026-11-20T01:00:05Z' }, {}, '2026-11-21T06:59:59Z', 'late'],
  ['and then', { good: '2026-11-20T01:00:05Z' }, {}, '2026-11-21T07:00:00Z', 'overdue'],
  ['it stays so while later turns begin', { good: '2026-11-20T01:00:05Z' }, {}, '2026-11-22T01:00:00Z', 'overdue'],
  ['until one of them has its image, whatever was missed before', { good: '2026-11-22T01:00:05Z' }, {}, '2026-11-22T08:00:00Z', 'fresh'],
  ['a weekly one is not stale six days of seven', { good: '2026-11-15T01:00:05Z' }, weekly, '2026-11-22T00:59:59Z', 'fresh'],
  ['but after its next Sunday', { good: '2026-11-15T01:00:05Z' }, weekly, '2026-11-22T07:00:00Z', 'overdue'],
  ['a monthly one of the 30th', { good: '2026-10-30T01:00:05Z' }, { cadence: 'monthly', dayOfMonth: 30 }, '2026-11-29T23:00:00Z', 'fresh'],
  ['a yearly one, eleven months later', { good: '2026-01-01T01:00:05Z' }, { cadence: 'yearly' }, '2026-12-31T23:00:00Z', 'fresh'],
  ['a yearly one, a year and six hours later', { good: '2026-01-01T01:00:05Z' }, { cadence: 'yearly' }, '2027-01-01T07:00:00Z', 'overdue'],
  ['every two hours has one hour of grace', { good: '2026-11-21T06:01:05Z', period: '2026-11-21T06:01Z' }, custom('1 6-18/2 * * *'), '2026-11-21T09:00:59Z', 'late'],
  ['and no more', { good: '2026-11-21T06:01:05Z', period: '2026-11-21T06:01Z' }, custom('1 6-18/2 * * *'), '2026-11-21T09:01:00Z', 'overdue'],
  ['in the long gap of the night, until the morning', { good: '2026-11-20T18:01:05Z', period: '2026-11-20T18:01Z' }, custom('1 6-18/2 * * *'), '2026-11-21T06:00:59Z', 'fresh'],
  ['every six hours has three', { good: '2026-11-21T00:00:05Z', period: '2026-11-21T00:00Z' }, custom('0 */6 * * *'), '2026-11-21T08:59:59Z', 'late'],
  ['and no more than three', { good: '2026-11-21T00:00:05Z', period: '2026-11-21T00:00Z' }, custom('0 */6 * * *'), '2026-11-21T09:00:00Z', 'overdue'],
  ['every five minutes has an hour all the same', { good: '2026-11-21T06:00:05Z', period: '2026-11-21T06:00Z' }, custom('*/5 * * * *'), '2026-11-21T07:04:59Z', 'late'],
  ['and no more than an hour', { good: '2026-11-21T06:00:05Z', period: '2026-11-21T06:00Z' }, custom('*/5 * * * *'), '2026-11-21T07:05:00Z', 'overdue'],
  ['one that no function has seen', never, {}, '2026-11-21T12:00:00Z', 'new'],
  ['nor one with an image of earlier times', { ...never, good: '2026-11-20T01:00:05Z' }, {}, '2026-11-21T12:00:00Z', 'new'],
  ['one that was seen after its instant', { since: '2026-11-20T01:00:01Z' }, {}, '2026-11-21T00:59:59Z', 'new'],
  ['once that instant has come', { since: '2026-11-20T01:00:01Z' }, {}, '2026-11-21T01:00:00Z', 'late'],
  ['without an image by the end of its grace', { since: '2026-11-20T01:00:01Z' }, {}, '2026-11-21T07:00:00Z', 'overdue'],
  ['one that was seen at its instant', { since: '2026-11-20T01:00:00Z' }, {}, '2026-11-20T01:00:00Z', 'late'],
  ['with a first image', { since: '2026-11-20T00:30:00Z', good: '2026-11-20T01:00:05Z' }, {}, '2026-11-20T12:00:00Z', 'fresh'],
  ['one that was enabled again, with an old image', { since: '2026-11-20T12:00:00Z', good: '2026-11-10T01:00:05Z' }, {}, '2026-11-20T20:00:00Z', 'new'],
  ['one that was enabled again on the day of its image, before a turn', { since: '2026-11-20T12:00:00Z', good: '2026-11-20T01:00:05Z' }, {}, '2026-11-20T20:00:00Z', 'fresh'],
  ['one that was enabled again when an older image had been made in a retry', { since: '2026-11-20T12:00:00Z', good: '2026-11-20T12:00:00Z', period: '2026-11-19' }, {}, '2026-11-20T20:00:00Z', 'new'],
  ['one that was seen by a clock that was wrong', { since: '2026-11-22T00:00:00Z' }, {}, '2026-11-21T12:00:00Z', 'new'],
  ['one that was seen by a clock that was very wrong', { since: '9999-12-31T23:59:59Z' }, { ...custom('0 0 29 2 1'), onEnable: 'now' }, '2026-11-21T12:00:00Z', 'late'],
  ['an image of a clock that was wrong', { good: '2030-01-01T00:00:00Z', period: '2030-01-01' }, {}, '2026-11-21T12:00:00Z', 'fresh'],
  ['such a one of an older period, until the next turn', { good: '2030-01-01T00:00:00Z', period: '2026-11-20' }, {}, '2026-11-21T12:00:00Z', 'fresh'],
  ['one that is manual', { good: '2026-01-01T01:00:05Z' }, { cadence: 'manual', spread: undefined }, '2026-11-21T12:00:00Z', 'manual'],
  ['one that was enabled again on the day of its image', { since: '2026-11-20T12:00:00Z', good: '2026-11-20T01:00:05Z' }, { at: '13:00' }, '2026-11-20T20:00:00Z', 'fresh'],
  ['at once, with onEnable now', { since: '2026-11-20T12:00:00Z' }, { onEnable: 'now' }, '2026-11-20T12:00:00Z', 'late'],
  ['whose grace begins when it was seen', { since: '2026-11-20T12:00:00Z' }, { onEnable: 'now' }, '2026-11-20T17:59:59Z', 'late'],
  ['and ends', { since: '2026-11-20T12:00:00Z' }, { onEnable: 'now' }, '2026-11-20T18:00:00Z', 'overdue'],
  ['with onEnable now, of the turn before', { since: '2026-11-20T12:00:00Z', good: '2026-11-20T12:15:05Z' }, { onEnable: 'now' }, '2026-11-21T00:00:00Z', 'fresh'],
  ['enabled again on the day of its image, with onEnable now', { since: '2026-11-20T12:00:00Z', good: '2026-11-20T01:00:05Z' }, { onEnable: 'now' }, '2026-11-20T20:00:00Z', 'fresh'],
  ['of a cloud whose clock is behind', { good: '2026-11-19T23:59:58Z', period: '2026-11-20' }, { at: '00:00' }, '2026-11-20T12:00:00Z', 'fresh'],
  ['made in a retry late in its period', { good: '2026-11-21T00:45:00Z', period: '2026-11-20' }, {}, '2026-11-21T00:59:59Z', 'fresh'],
  ['made in a retry late in its period, once the next has begun', { good: '2026-11-21T00:45:00Z', period: '2026-11-20' }, {}, '2026-11-21T07:00:00Z', 'overdue'],
  ['whose time of day was put later after its image', { good: '2026-11-21T01:00:05Z' }, { at: '08:00' }, '2026-11-21T20:00:00Z', 'fresh'],
  ['whose time of day was put earlier after its image', moved, { at: '09:00' }, '2026-11-21T08:59:59Z', 'fresh'],
  ['whose time of day was put earlier, when its turn has come', moved, { at: '09:00' }, '2026-11-21T09:00:00Z', 'late'],
  ['with a time that a person broke', { good: 'yesterday', period: '2026-11-20' }, {}, '2026-11-20T12:00:00Z', 'overdue'],
  ['with a period that a person broke', { good: '2026-11-20T01:00:05Z', period: 'last' }, {}, '2026-11-21T12:00:00Z', 'fresh'],
  ['that is disabled', { good: '2026-01-01T01:00:05Z' }, { enabled: false }, '2026-11-21T12:00:00Z', 'disabled'],
])('%s', (_sentence, state, item, now, verdict) => {
  expect(freshnessOf(parsed(state, item), new Date(now)).verdict).toBe(verdict)
})

test('one that is invalid is that', () => {
  const invalid = { cadence: 'daily', name: 'web-1', key: 'daily/web-1', cloud: 'default', faults: [{ field: 'at', message: 'No.' }], state: {} } as const
  expect(freshnessOf({ valid: false, invalid }, new Date('2026-11-21T12:00:00Z'))).toEqual({ verdict: 'invalid' })
})

test('what is late or overdue names the first turn without an image, and when its grace ends', () => {
  const turn: Turn = { period: '2026-11-19', startsAt: new Date('2026-11-19T01:00:00Z') }
  const overdueAt = new Date('2026-11-19T07:00:00Z')
  const daily = parsed({ good: '2026-11-18T01:00:05Z' })
  expect(freshnessOf(daily, new Date('2026-11-19T02:00:00Z'))).toEqual({ verdict: 'late', turn, overdueAt })
  expect(freshnessOf(daily, new Date('2026-11-21T12:00:00Z'))).toEqual({ verdict: 'overdue', turn, overdueAt })
})

test.each<[sentence: string, item: Record<string, unknown>, ran: string | undefined, startsAt: number]>([
  ['a server by its UUID', { server: web1 }, undefined, spreadOf(schedule({ spread: 60 }), web1)],
  ['a server by its name, once it has run', { server: 'web-1' }, web1, spreadOf(schedule({ spread: 60 }), web1)],
  ['a server by its name, before: the last of all', { server: 'web-1' }, undefined, 60],
  ['the servers of a selector: the last of all', { server: undefined, selector: { name: '*' } }, web1, 60],
])('the turn of %s begins with its share of the spread', (_sentence, item, ran, minutes) => {
  const daily = parsed({ good: '2026-11-20T01:30:00Z', ...(ran && { ran }) }, { spread: 60, ...item })
  const begins = new Date(Date.parse('2026-11-21T01:00:00Z') + minutes * minuteMs)
  expect(freshnessOf(daily, begins)).toMatchObject({ verdict: 'late', turn: { period: '2026-11-21', startsAt: begins } })
  expect(freshnessOf(daily, new Date(begins.getTime() - 1)).verdict).toBe('fresh')
})

/** Any cadence, in a zone whose clocks change. */
const items = fc
  .record({
    cadence: fc.constantFrom({}, weekly, { cadence: 'monthly', dayOfMonth: 31 }, { cadence: 'yearly', month: 3 }, custom('1 6-18/2 * * *'), custom('*/20 * * * *'), custom('30 2 * * 0')),
    timeZone: fc.constantFrom('UTC', 'Europe/Stockholm', 'America/New_York'),
    onEnable: fc.constantFrom('next', 'now'),
    spread: fc.constantFrom(0, 60, 1440),
  })
  .map(({ cadence, ...rest }) => ({ ...rest, ...cadence }))
const instants = fc.integer({ min: Date.parse('2026-01-01') / minuteMs, max: Date.parse('2027-12-31') / minuteMs }).map((minutes) => new Date(minutes * minuteMs))

/** By the words of the documents: each turn in order, from the one that an image is of, or the first that counts. */
function firstLacking(item: Record<string, unknown>, since: Date, good: Turn | undefined, now: Date): { startsAt: Date; graceMs: number } | undefined {
  const timing = schedule(item)
  const share = spreadOf(timing, web1)
  const counted: Turn[] = []
  if (timing.onEnable === 'now') counted.push({ ...latestTurn(timing, share, since), startsAt: since })
  for (let turn = nextTurn(timing, share, new Date(since.getTime() - (timing.onEnable === 'now' ? 0 : 1))); turn.startsAt <= now; turn = nextTurn(timing, share, turn.startsAt)) counted.push(turn)
  const lacking = counted.find(({ period, startsAt }) => startsAt <= now && (good === undefined || period > good.period))
  if (!lacking) return undefined
  const halfMs = (nextTurn(timing, share, lacking.startsAt).startsAt.getTime() - lacking.startsAt.getTime()) / 2
  return { startsAt: lacking.startsAt, graceMs: halfMs < hourMs ? hourMs : halfMs > 6 * hourMs ? 6 * hourMs : halfMs }
}

test('it is overdue when a turn that counts, and no later one, has its image by the end of its grace: each turn is looked at', () => {
  const verdicts = new Set<string>()
  fc.assert(
    fc.property(items, instants, fc.integer({ min: 0, max: 40 * 24 * 60 }), fc.integer({ min: 0, max: 6 }), (item, now, age, turns) => {
      const timing = schedule(item)
      const share = spreadOf(timing, web1)
      const since = new Date(now.getTime() - age * minuteMs)
      let good: Turn | undefined
      for (let n = 0; n < turns; n += 1) good = turnBefore(timing, share, good?.startsAt ?? new Date(now.getTime() + 1))
      const state = { since: since.toISOString(), ...(good && { lastGood: { time: new Date(good.startsAt.getTime() + 5000).toISOString(), period: good.period, image: id(1) } }) }
      const found = freshnessOf({ valid: true, schedule: schedule({ ...item, state }) }, now)
      verdicts.add(found.verdict)
      const lacking = firstLacking(item, since, good, now)
      expect(found.verdict === 'fresh' || found.verdict === 'new').toBe(lacking === undefined)
      if (lacking) expect(found).toMatchObject({ verdict: now.getTime() >= lacking.startsAt.getTime() + lacking.graceMs ? 'overdue' : 'late', turn: { startsAt: lacking.startsAt } })
    }),
    { numRuns: 300 },
  )
  expect([...verdicts].toSorted()).toEqual(['fresh', 'late', 'new', 'overdue'])
})

test('while nothing is made, it only grows older: new or fresh, then late, then overdue', () => {
  const ages = ['new', 'fresh', 'late', 'overdue']
  fc.assert(
    fc.property(items, instants, fc.boolean(), fc.array(fc.integer({ min: 0, max: 14 * 24 * 60 }), { minLength: 2, maxLength: 6 }), (item, since, made, laps) => {
      const state = { since: since.toISOString(), ...(made && { lastGood: { time: since.toISOString(), period: latestTurn(schedule(item), 0, since).period, image: id(1) } }) }
      const stale = { valid: true, schedule: schedule({ ...item, state }) } as const
      let now = since.getTime()
      const seen = laps.map((minutes) => ages.indexOf(freshnessOf(stale, new Date((now += minutes * minuteMs))).verdict))
      expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    }),
    { numRuns: 200 },
  )
})
