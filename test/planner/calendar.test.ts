import fc from 'fast-check'
import { expect, test } from 'vitest'
import { instantOf, latestTurn, localDate, nextTurn, spreadOf, turnBefore } from '../../lib/planner/calendar.ts'
import { id, schedule } from '../support/builders.ts'

/** `now` → the period and the start of the latest turn, and the start of the next. */
test.each<[sentence: string, item: Record<string, unknown>, now: string, period: string, startsAt: string, next: string]>([
  ['daily at its very instant', {}, '2026-11-21T01:00:00Z', '2026-11-21', '2026-11-21T01:00:00Z', '2026-11-22T01:00:00Z'],
  ['daily a moment before', {}, '2026-11-21T00:59:59.999Z', '2026-11-20', '2026-11-20T01:00:00Z', '2026-11-21T01:00:00Z'],
  ['weekly on its day', { cadence: 'weekly', dayOfWeek: 'saturday' }, '2026-11-21T12:00:00Z', '2026-11-21', '2026-11-21T01:00:00Z', '2026-11-28T01:00:00Z'],
  ['weekly six days later', { cadence: 'weekly', dayOfWeek: 'saturday' }, '2026-11-27T12:00:00Z', '2026-11-21', '2026-11-21T01:00:00Z', '2026-11-28T01:00:00Z'],
  ['the period is the local date', { timeZone: 'Pacific/Auckland', at: '00:30' }, '2026-11-20T12:00:00Z', '2026-11-21', '2026-11-20T11:30:00Z', '2026-11-21T11:30:00Z'],
  ['a weekly day is a local one', { cadence: 'weekly', dayOfWeek: 'sunday', timeZone: 'Pacific/Auckland' }, '2026-11-21T13:00:00Z', '2026-11-22', '2026-11-21T12:00:00Z', '2026-11-28T12:00:00Z'],
  ['a skipped time runs at the first valid instant after it', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-03-29T12:00:00Z', '2026-03-29', '2026-03-29T01:00:00Z', '2026-03-30T00:30:00Z'],
  ['a repeated time runs once, the first time', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-10-25T12:00:00Z', '2026-10-25', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
  ['and does not run again in the hour that repeats', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-10-25T01:45:00Z', '2026-10-25', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
  ['a midnight that is skipped', { timeZone: 'America/Sao_Paulo', at: '00:00' }, '2018-11-04T12:00:00Z', '2018-11-04', '2018-11-04T03:00:00Z', '2018-11-05T02:00:00Z'],

  ['monthly on the first, unless it says otherwise', { cadence: 'monthly' }, '2026-11-21T12:00:00Z', '2026-11-01', '2026-11-01T01:00:00Z', '2026-12-01T01:00:00Z'],
  ['monthly later in this month', { cadence: 'monthly', dayOfMonth: 25 }, '2026-11-21T12:00:00Z', '2026-10-25', '2026-10-25T01:00:00Z', '2026-11-25T01:00:00Z'],
  ['the 31st, after a month of 30 days', { cadence: 'monthly', dayOfMonth: 31 }, '2026-12-01T12:00:00Z', '2026-11-30', '2026-11-30T01:00:00Z', '2026-12-31T01:00:00Z'],
  ['the 31st, before February', { cadence: 'monthly', dayOfMonth: 31 }, '2026-01-31T01:00:00Z', '2026-01-31', '2026-01-31T01:00:00Z', '2026-02-28T01:00:00Z'],
  ['the 30th, in February of a leap year', { cadence: 'monthly', dayOfMonth: 30 }, '2028-03-01T12:00:00Z', '2028-02-29', '2028-02-29T01:00:00Z', '2028-03-30T01:00:00Z'],
  ['the 29th, in February of a year that is none', { cadence: 'monthly', dayOfMonth: 29 }, '2100-03-01T12:00:00Z', '2100-02-28', '2100-02-28T01:00:00Z', '2100-03-29T01:00:00Z'],
  ['monthly over the end of a year', { cadence: 'monthly', dayOfMonth: 31 }, '2027-01-01T00:00:00Z', '2026-12-31', '2026-12-31T01:00:00Z', '2027-01-31T01:00:00Z'],
  ['a month ends by the local date', { cadence: 'monthly', dayOfMonth: 31, timeZone: 'Pacific/Auckland' }, '2026-11-29T12:00:00Z', '2026-11-30', '2026-11-29T12:00:00Z', '2026-12-30T12:00:00Z'],
  ['yearly on 1 January, unless it says otherwise', { cadence: 'yearly' }, '2026-11-21T12:00:00Z', '2026-01-01', '2026-01-01T01:00:00Z', '2027-01-01T01:00:00Z'],
  ['yearly later in this year', { cadence: 'yearly', month: 12, dayOfMonth: 31 }, '2026-11-21T12:00:00Z', '2025-12-31', '2025-12-31T01:00:00Z', '2026-12-31T01:00:00Z'],
  ['31 April is 30 April', { cadence: 'yearly', month: 4, dayOfMonth: 31 }, '2026-11-21T12:00:00Z', '2026-04-30', '2026-04-30T01:00:00Z', '2027-04-30T01:00:00Z'],
  ['29 February is 28 February in a common year', { cadence: 'yearly', month: 2, dayOfMonth: 29 }, '2027-03-01T12:00:00Z', '2027-02-28', '2027-02-28T01:00:00Z', '2028-02-29T01:00:00Z'],
  ['and comes again a year after 29 February', { cadence: 'yearly', month: 2, dayOfMonth: 29 }, '2028-02-29T12:00:00Z', '2028-02-29', '2028-02-29T01:00:00Z', '2029-02-28T01:00:00Z'],
  ['2000 was a leap year', { cadence: 'yearly', month: 2, dayOfMonth: 30 }, '2000-12-01T00:00:00Z', '2000-02-29', '2000-02-29T01:00:00Z', '2001-02-28T01:00:00Z'],
])('%s', (_sentence, item, now, period, startsAt, next) => {
  const timing = schedule(item)
  const latest = latestTurn(timing, 0, new Date(now))
  expect({ period: latest.period, startsAt: latest.startsAt }).toEqual({ period, startsAt: new Date(startsAt) })
  expect(nextTurn(timing, 0, new Date(now)).startsAt).toEqual(new Date(next))
})

test('the date and the instant of a local time, there and back', () => {
  const at = { hour: 1, minute: 30 }
  expect(localDate('Asia/Kathmandu', new Date('2026-11-20T18:14:59Z'))).toBe('2026-11-20')
  expect(localDate('Asia/Kathmandu', new Date('2026-11-20T18:15:00Z'))).toBe('2026-11-21')
  expect(instantOf('Asia/Kathmandu', '2026-11-21', at)).toEqual(new Date('2026-11-20T19:45:00Z'))
})

test('the spread moves the start, and not the period', () => {
  const late = schedule({ at: '23:30' })
  expect(latestTurn(late, 40, new Date('2026-11-22T00:10:00Z'))).toEqual({ period: '2026-11-21', startsAt: new Date('2026-11-22T00:10:00Z') })
  expect(latestTurn(late, 40, new Date('2026-11-22T00:09:59Z')).period).toBe('2026-11-20')
  expect(nextTurn(late, 40, new Date('2026-11-22T00:09:59Z')).startsAt).toEqual(new Date('2026-11-22T00:10:00Z'))
})

test("a server's share of the spread is stable, within bounds, and even", () => {
  const shares = Array.from({ length: 600 }, (_, n) => spreadOf({ spread: 60 }, id(n)))
  expect(spreadOf({ spread: 60 }, id(7))).toBe(spreadOf({ spread: 60 }, id(7)))
  expect(Math.min(...shares)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...shares)).toBeLessThan(60)
  expect(new Set(shares).size).toBeGreaterThan(50)
  expect(spreadOf({ spread: 0 }, id(7))).toBe(0)
})

test("a server's share is its id's FNV-1a hash, so that no later version moves it", () => {
  // The published vectors of the 32-bit hash.
  expect(['a', 'foobar'].map((text) => spreadOf({ spread: 2 ** 32 }, text))).toEqual([0xe40c292c, 0xbf9cf968])
})

test('turns follow one another without gap or overlap, in any zone and at any time', () => {
  const zones = ['UTC', 'Europe/Stockholm', 'America/New_York', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'Pacific/Auckland', 'Asia/Kathmandu']
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.integer({ min: 0, max: 23 }),
      fc.integer({ min: 0, max: 59 }),
      fc.integer({ min: 0, max: 1439 }),
      fc.date({ min: new Date('2015-01-01'), max: new Date('2035-01-01'), noInvalidDate: true }),
      (timeZone, hour, minute, spread, now) => {
        const timing = schedule({ timeZone, at: `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}` })
        const latest = latestTurn(timing, spread, now)
        const next = nextTurn(timing, spread, now)
        expect(latest.startsAt.getTime()).toBeLessThanOrEqual(now.getTime())
        expect(next.startsAt.getTime()).toBeGreaterThan(now.getTime())
        expect(turnBefore(timing, spread, next.startsAt)).toEqual(latest)
        expect(next.period > latest.period).toBe(true)
      },
    ),
    { numRuns: 500 },
  )
})
