import { Cron } from 'croner'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { instantOf, latestTurn, localDate, nextTurn, spreadOf, turnBefore, type Timing, type Turn } from '../../lib/planner/calendar.ts'
import { id, schedule } from '../support/builders.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

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
  ['a cron that is skipped', { cadence: 'custom', cron: '30 2 * * *', timeZone: 'Europe/Stockholm' }, '2026-03-29T12:00:00Z', '2026-03-29T01:00Z', '2026-03-29T01:00:00Z', '2026-03-30T00:30:00Z'],
  ['a cron that is repeated', { cadence: 'custom', cron: '30 2,14 * * *', timeZone: 'Europe/Stockholm' }, '2026-10-25T01:00:00Z', '2026-10-25T00:30Z', '2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'],
  ['a cron at its very instant', { cadence: 'custom', cron: '1 6-18/2 * * *' }, '2026-11-21T06:01:00Z', '2026-11-21T06:01Z', '2026-11-21T06:01:00Z', '2026-11-21T08:01:00Z'],
  ['a cron a moment before', { cadence: 'custom', cron: '1 6-18/2 * * *' }, '2026-11-21T06:00:59.999Z', '2026-11-20T18:01Z', '2026-11-20T18:01:00Z', '2026-11-21T06:01:00Z'],
])('%s', (_sentence, item, now, period, startsAt, next) => {
  const timing = schedule(item)
  const latest = latestTurn(timing, 0, new Date(now))
  expect({ period: latest.period, startsAt: latest.startsAt }).toEqual({ period, startsAt: new Date(startsAt) })
  expect(nextTurn(timing, 0, new Date(now)).startsAt).toEqual(new Date(next))
})

/** The turns after `from`: each period, and when it starts in UTC. */
test.each<[sentence: string, item: Record<string, unknown>, from: string, turns: string[]]>([
  ['Stockholm skips 02:30', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-03-28T00:00Z', ['2026-03-28 at 2026-03-28T01:30Z', '2026-03-29 at 2026-03-29T01:00Z', '2026-03-30 at 2026-03-30T00:30Z']],
  ['Stockholm repeats 02:30', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-10-24T00:00Z', ['2026-10-24 at 2026-10-24T00:30Z', '2026-10-25 at 2026-10-25T00:30Z', '2026-10-26 at 2026-10-26T01:30Z']],
  ['Stockholm skips 02:00, the very first minute', { timeZone: 'Europe/Stockholm', at: '02:00' }, '2026-03-29T00:00Z', ['2026-03-29 at 2026-03-29T01:00Z', '2026-03-30 at 2026-03-30T00:00Z']],
  ['Stockholm has 03:00, the first minute after', { timeZone: 'Europe/Stockholm', at: '03:00' }, '2026-03-29T00:00Z', ['2026-03-29 at 2026-03-29T01:00Z', '2026-03-30 at 2026-03-30T01:00Z']],
  ['Stockholm has 03:00 once, though its clocks go back then', { timeZone: 'Europe/Stockholm', at: '03:00' }, '2026-10-24T12:00Z', ['2026-10-25 at 2026-10-25T02:00Z', '2026-10-26 at 2026-10-26T02:00Z']],
  ['a week with a change in it', { cadence: 'weekly', dayOfWeek: 'sunday', timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-03-22T00:00Z', ['2026-03-22 at 2026-03-22T01:30Z', '2026-03-29 at 2026-03-29T01:00Z', '2026-04-05 at 2026-04-05T00:30Z']],
  ['months of both kinds of time', { cadence: 'monthly', dayOfMonth: 29, timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-02-01T00:00Z', ['2026-02-28 at 2026-02-28T01:30Z', '2026-03-29 at 2026-03-29T01:00Z', '2026-04-29 at 2026-04-29T00:30Z']],
  ['a year, on the day of a change', { cadence: 'yearly', month: 10, dayOfMonth: 25, timeZone: 'Europe/Stockholm', at: '02:30' }, '2025-01-01T00:00Z', ['2025-10-25 at 2025-10-25T00:30Z', '2026-10-25 at 2026-10-25T00:30Z', '2027-10-25 at 2027-10-25T00:30Z']],
  ['New York skips 02:30', { timeZone: 'America/New_York', at: '02:30' }, '2026-03-07T12:00Z', ['2026-03-08 at 2026-03-08T07:00Z', '2026-03-09 at 2026-03-09T06:30Z']],
  ['New York repeats 01:30', { timeZone: 'America/New_York', at: '01:30' }, '2026-10-31T12:00Z', ['2026-11-01 at 2026-11-01T05:30Z', '2026-11-02 at 2026-11-02T06:30Z']],
  ['Lord Howe skips half an hour', { timeZone: 'Australia/Lord_Howe', at: '02:15' }, '2026-10-02T20:00Z', ['2026-10-04 at 2026-10-03T15:30Z', '2026-10-05 at 2026-10-04T15:15Z']],
  ['Lord Howe repeats half an hour', { timeZone: 'Australia/Lord_Howe', at: '01:45' }, '2026-04-03T20:00Z', ['2026-04-05 at 2026-04-04T14:45Z', '2026-04-06 at 2026-04-05T15:15Z']],
  ['Troll skips two hours', { timeZone: 'Antarctica/Troll', at: '01:15' }, '2026-03-28T12:00Z', ['2026-03-29 at 2026-03-29T01:00Z', '2026-03-30 at 2026-03-29T23:15Z']],
  ['Troll repeats two hours', { timeZone: 'Antarctica/Troll', at: '02:59' }, '2026-10-24T12:00Z', ['2026-10-25 at 2026-10-25T00:59Z', '2026-10-26 at 2026-10-26T02:59Z']],
  ['São Paulo skips midnight', { timeZone: 'America/Sao_Paulo', at: '00:00' }, '2018-11-03T12:00Z', ['2018-11-04 at 2018-11-04T03:00Z', '2018-11-05 at 2018-11-05T02:00Z']],
  ['São Paulo repeats the hour before midnight', { timeZone: 'America/Sao_Paulo', at: '23:30' }, '2018-02-17T12:00Z', ['2018-02-17 at 2018-02-18T01:30Z', '2018-02-18 at 2018-02-19T02:30Z']],
  ['São Paulo has midnight once, after that hour', { timeZone: 'America/Sao_Paulo', at: '00:00' }, '2018-02-17T12:00Z', ['2018-02-18 at 2018-02-18T03:00Z', '2018-02-19 at 2018-02-19T03:00Z']],
  ['Cairo skips midnight', { timeZone: 'Africa/Cairo', at: '00:15' }, '2025-04-24T12:00Z', ['2025-04-25 at 2025-04-24T22:00Z', '2025-04-26 at 2025-04-25T21:15Z']],
  ['Cairo repeats the hour before midnight', { timeZone: 'Africa/Cairo', at: '23:30' }, '2025-10-30T12:00Z', ['2025-10-30 at 2025-10-30T20:30Z', '2025-10-31 at 2025-10-31T21:30Z']],
  ['Beirut skips midnight', { timeZone: 'Asia/Beirut', at: '00:30' }, '2025-03-29T12:00Z', ['2025-03-30 at 2025-03-29T22:00Z', '2025-03-31 at 2025-03-30T21:30Z']],
  ['Beirut repeats the hour before midnight', { timeZone: 'Asia/Beirut', at: '23:00' }, '2025-10-25T12:00Z', ['2025-10-25 at 2025-10-25T20:00Z', '2025-10-26 at 2025-10-26T21:00Z']],
  ["St John's had midnight twice, a minute before its clocks went back over it", { timeZone: 'America/St_Johns', at: '00:00' }, '2010-11-06T12:00Z', ['2010-11-07 at 2010-11-07T02:30Z', '2010-11-08 at 2010-11-08T03:30Z']],
  ['Pyongyang skipped the end of a day, which has its turn all the same', { timeZone: 'Asia/Pyongyang', at: '23:45' }, '2018-05-03T12:00Z', ['2018-05-03 at 2018-05-03T15:15Z', '2018-05-04 at 2018-05-04T15:00Z', '2018-05-05 at 2018-05-05T14:45Z']],
  ['and the next day has its own', { timeZone: 'Asia/Pyongyang', at: '00:00' }, '2018-05-03T16:00Z', ['2018-05-05 at 2018-05-04T15:00Z', '2018-05-06 at 2018-05-05T15:00Z']],
  ['Apia had no 30 December', { timeZone: 'Pacific/Apia', at: '12:00' }, '2011-12-28T23:00Z', ['2011-12-29 at 2011-12-29T22:00Z', '2011-12-31 at 2011-12-30T22:00Z', '2012-01-01 at 2011-12-31T22:00Z']],
  ['and at midnight neither', { timeZone: 'Pacific/Apia', at: '00:00' }, '2011-12-28T23:00Z', ['2011-12-29 at 2011-12-29T10:00Z', '2011-12-31 at 2011-12-30T10:00Z', '2012-01-01 at 2011-12-31T10:00Z']],
  ['a week without its Friday', { cadence: 'weekly', dayOfWeek: 'friday', timeZone: 'Pacific/Apia', at: '12:00' }, '2011-12-20T00:00Z', ['2011-12-23 at 2011-12-23T22:00Z', '2012-01-06 at 2012-01-05T22:00Z']],
  ['a month without its 30th', { cadence: 'monthly', dayOfMonth: 30, timeZone: 'Pacific/Apia', at: '12:00' }, '2011-11-20T00:00Z', ['2011-11-30 at 2011-11-30T22:00Z', '2012-01-30 at 2012-01-29T22:00Z']],
  ['Kathmandu is 5 h 45 min ahead, and never changes', { timeZone: 'Asia/Kathmandu', at: '05:45' }, '2026-03-28T12:00Z', ['2026-03-29 at 2026-03-29T00:00Z', '2026-03-30 at 2026-03-30T00:00Z']],
])('clocks: %s', (_sentence, item, from, turns) => {
  expect(turnsOf(schedule(item), from, turns.length).map(({ period, startsAt }) => `${period} at ${minuteText(startsAt)}`)).toEqual(turns)
})

/** The runs of a cron after `from`, in UTC: they are its periods. */
test.each<[sentence: string, cron: string, timeZone: string, from: string, runs: string[]]>([
  ['every other hour of the day', '1 6-18/6 * * *', 'Europe/Stockholm', '2026-11-21T05:01Z', ['2026-11-21T11:01Z', '2026-11-21T17:01Z', '2026-11-22T05:01Z']],
  ['a fixed hour that is skipped runs at the first valid instant after it', '30 2 * * *', 'Europe/Stockholm', '2026-03-28T00:00Z', ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z']],
  ['a fixed hour that is repeated runs once', '30 2 * * *', 'Europe/Stockholm', '2026-10-24T00:00Z', ['2026-10-24T00:30Z', '2026-10-25T00:30Z', '2026-10-26T01:30Z']],
  ['a wildcard hour goes on over the skipped hour', '30 * * * *', 'Europe/Stockholm', '2026-03-28T23:40Z', ['2026-03-29T00:30Z', '2026-03-29T01:30Z']],
  ['a wildcard hour goes on through the repeated hour', '30 * * * *', 'Europe/Stockholm', '2026-10-24T23:40Z', ['2026-10-25T00:30Z', '2026-10-25T01:30Z', '2026-10-25T02:30Z']],
  ['one of several hours is passed over when it is skipped', '30 2,14 * * *', 'Europe/Stockholm', '2026-03-28T12:00Z', ['2026-03-28T13:30Z', '2026-03-29T12:30Z', '2026-03-30T00:30Z']],
  ['one of several hours runs twice when it is repeated', '30 2,14 * * *', 'Europe/Stockholm', '2026-10-24T12:00Z', ['2026-10-24T12:30Z', '2026-10-25T00:30Z', '2026-10-25T01:30Z', '2026-10-25T13:30Z']],
  ['a fixed midnight that is skipped', '0 0 * * *', 'America/Sao_Paulo', '2018-11-03T12:00Z', ['2018-11-04T03:00Z', '2018-11-05T02:00Z']],
  ['a fixed time that is skipped up to midnight does not run: the first valid instant is of another date', '45 23 * * *', 'Asia/Pyongyang', '2018-05-03T12:00Z', ['2018-05-03T15:15Z', '2018-05-05T14:45Z']],
  ['a date that is left out', '0 12 * * *', 'Pacific/Apia', '2011-12-28T23:00Z', ['2011-12-29T22:00Z', '2011-12-30T22:00Z']],
  ['the 31st, which short months do not have', '0 1 31 * *', 'UTC', '2026-01-01T00:00Z', ['2026-01-31T01:00Z', '2026-03-31T01:00Z', '2026-05-31T01:00Z']],
  ['the last day of each month', '0 1 L * *', 'UTC', '2026-01-01T00:00Z', ['2026-01-31T01:00Z', '2026-02-28T01:00Z', '2026-03-31T01:00Z']],
])('cron: %s', (_sentence, cron, timeZone, from, runs) => {
  const turns = turnsOf(schedule({ cadence: 'custom', cron, timeZone }), from, runs.length)
  expect(turns.map(({ startsAt }) => minuteText(startsAt))).toEqual(runs)
  expect(turns.map(({ period }) => period)).toEqual(runs)
})

test('a cron that never comes, which no valid item has, is told of', () => {
  const never = { ...schedule(), cadence: 'custom', cron: '0 0 31 2 *' } as const
  const now = new Date('2026-11-21T12:00:00Z')
  expect(() => nextTurn(never, 0, now)).toThrow(new RangeError('The cron "0 0 31 2 *" has no instant after 2026-11-21T12:00:00.000Z.'))
  expect(() => latestTurn(never, 0, now)).toThrow(new RangeError('The cron "0 0 31 2 *" has no instant before 2026-11-21T12:00:00.001Z.'))
})

test('each of many crons in many zones has its own turns', () => {
  const now = new Date('2026-11-21T12:00:00Z')
  for (let n = 0; n < 300; n += 1) {
    const [minute, hour, aheadMinutes] = [n % 60, 6 + (n % 6), n < 150 ? 0 : 345]
    const timing = schedule({ cadence: 'custom', cron: `${minute} ${hour} * * *`, timeZone: n < 150 ? 'UTC' : 'Asia/Kathmandu' })
    expect(latestTurn(timing, 0, now).startsAt).toEqual(new Date(Date.UTC(2026, 10, 21, hour, minute - aheadMinutes)))
  }
})

test('the servers of one cron have its turns, each later by its own share, tick after tick', () => {
  const timing = schedule({ cadence: 'custom', cron: '0 */6 * * *' })
  for (const now of [new Date('2026-11-21T12:00:00Z'), new Date('2026-11-21T18:00:00Z')]) {
    for (let share = 0; share < 1440; share += 1) {
      const scheduled = new Date(now.getTime() - 6 * Math.ceil(share / 360) * hourMs)
      expect(latestTurn(timing, share, now)).toEqual({ period: minuteText(scheduled), startsAt: new Date(scheduled.getTime() + share * minuteMs) })
    }
  }
})

test('the instants of dates do not depend on which is asked for first', () => {
  const noon = { hour: 12, minute: 0 }
  for (const month of ['03', '10']) {
    const dates = Array.from({ length: 10 }, (_, n) => `2026-${month}-${22 + n}`)
    const forwards = dates.map((date) => instantOf('Europe/Copenhagen', date, noon))
    const backwards = dates.toReversed().map((date) => instantOf('Europe/Oslo', date, noon)).toReversed()
    expect(backwards).toEqual(forwards)
  }
})

test('the servers and the ticks of one cron cost croner a question or two for each gap between its instants', () => {
  const timing = schedule({ cadence: 'custom', cron: '17 */6 * * *', timeZone: 'Europe/Stockholm' })
  const questions = [vi.spyOn(Cron.prototype, 'previousRuns'), vi.spyOn(Cron.prototype, 'nextRun')]
  for (let minute = 0; minute < 1440; minute += 15) {
    const now = new Date(Date.parse('2026-11-21T00:00:00Z') + minute * minuteMs)
    for (let share = 0; share < 60; share += 1) {
      const { startsAt } = latestTurn(timing, share, now)
      turnBefore(timing, share, startsAt)
      expect(nextTurn(timing, share, startsAt)).toEqual(nextTurn(timing, share, now))
    }
  }
  // Of seven gaps, two were come upon from the one after them, and so it was known where they end.
  expect(questions.map(({ mock }) => mock.calls.length)).toEqual([7, 5])
})

test('a zone that is changed on a live schedule keeps the name of the date, which has no second turn', () => {
  const now = new Date('2026-11-21T12:00:00Z')
  const stockholm = schedule({ timeZone: 'Europe/Stockholm' })
  const newYork = schedule({ timeZone: 'America/New_York' })
  expect(latestTurn(stockholm, 0, now)).toEqual({ period: '2026-11-21', startsAt: new Date('2026-11-21T00:00:00Z') })
  expect(latestTurn(newYork, 0, now)).toEqual({ period: '2026-11-21', startsAt: new Date('2026-11-21T06:00:00Z') })
  expect(nextTurn(newYork, 0, now).period).toBe('2026-11-22')
  // Before New York's own, its latest date is one that Stockholm has had.
  expect(latestTurn(newYork, 0, new Date('2026-11-21T03:00:00Z')).period).toBe('2026-11-20')
})

test('a clock that jumps back finds the turns that it found before', () => {
  for (const item of [{ timeZone: 'Europe/Stockholm', at: '02:30' }, { cadence: 'monthly', dayOfMonth: 31 }, { cadence: 'custom', cron: '*/10 * * * *' }]) {
    const timing = schedule(item)
    const [earlier, later] = [new Date('2026-10-25T00:31:00Z'), new Date('2026-11-01T12:00:00Z')]
    const found = [latestTurn(timing, 0, earlier), turnBefore(timing, 0, earlier), nextTurn(timing, 0, earlier)]
    expect(latestTurn(timing, 0, later)).not.toEqual(found[0])
    expect([latestTurn(timing, 0, earlier), turnBefore(timing, 0, earlier), nextTurn(timing, 0, earlier)]).toEqual(found)
  }
})

test('the date and the instant of a local time, there and back', () => {
  const at = { hour: 1, minute: 30 }
  expect(localDate('Asia/Kathmandu', new Date('2026-11-20T18:14:59Z'))).toBe('2026-11-20')
  expect(localDate('Asia/Kathmandu', new Date('2026-11-20T18:15:00Z'))).toBe('2026-11-21')
  expect(instantOf('Asia/Kathmandu', '2026-11-21', at)).toEqual(new Date('2026-11-20T19:45:00Z'))
  // Liberia kept to seconds until 1972.
  expect(instantOf('Africa/Monrovia', '1971-12-31', at)).toEqual(new Date('1971-12-31T02:14:30Z'))
  expect(instantOf('America/New_York', '9999-12-30', at)).toEqual(new Date('9999-12-30T06:30:00Z'))
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

const allZones = Intl.supportedValuesOf('timeZone')
/** Zones whose clocks do something odd between 2000 and 2040. */
const oddZones = ['Australia/Lord_Howe', 'Antarctica/Troll', 'Antarctica/Casey', 'America/Sao_Paulo', 'America/St_Johns', 'America/Havana', 'Africa/Cairo', 'Africa/Casablanca', 'Asia/Beirut', 'Asia/Gaza', 'Asia/Pyongyang', 'Asia/Tehran', 'Pacific/Apia', 'Pacific/Fakaofo']
const anyZone = fc.oneof(fc.constantFrom(...oddZones), fc.constantFrom(...allZones))
const anyTime = fc.record({
  hour: fc.oneof(fc.constantFrom(0, 1, 2, 23), fc.integer({ min: 0, max: 23 })),
  minute: fc.oneof(fc.constantFrom(0, 30, 59), fc.integer({ min: 0, max: 59 })),
})
const anyInstant = fc.date({ min: new Date('2000-01-01T00:00:00Z'), max: new Date('2040-01-01T00:00:00Z'), noInvalidDate: true })
const anyTiming = fc
  .record({
    cadence: fc.constantFrom('daily', 'weekly', 'monthly', 'yearly', 'custom'),
    dayOfWeek: fc.constantFrom('sunday', 'wednesday', 'saturday'),
    dayOfMonth: fc.oneof(fc.constantFrom(1, 28, 29, 30, 31), fc.integer({ min: 1, max: 31 })),
    month: fc.integer({ min: 1, max: 12 }),
    cron: fc.constantFrom('1 6-18/2 * * *', '30 2 * * *', '*/7 * * * *', '0 0 29 2 *', '45 23 L * *', '0 * * * 1-5'),
    at: anyTime,
    timeZone: anyZone,
  })
  .map((timing) => timing as Timing)

/** What a clock on the wall shows, to the minute: `2026-11-21 01:00`. */
const wallFormats = new Map<string, Intl.DateTimeFormat>()
function wall(timeZone: string, instantMs: number): string {
  let format = wallFormats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' })
    wallFormats.set(timeZone, format)
  }
  const parts = Object.fromEntries(format.formatToParts(instantMs).map(({ type, value }) => [type, value]))
  return `${parts['year']}-${parts['month']}-${parts['day']} ${parts['hour']}:${parts['minute']}`
}

/** The first minute whose wall clock shows at least a date and a time, by trying each. */
function firstMinute(timeZone: string, text: string): number {
  let instantMs = Date.parse(`${text.replace(' ', 'T')}Z`) - 15 * hourMs
  while (wall(timeZone, instantMs) < text) instantMs += minuteMs
  return instantMs
}

function timeText({ hour, minute }: Timing['at']): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
}

test('over ten years each local date that exists has one turn, in order, at its own time or at the end of the gap over it', () => {
  fc.assert(
    fc.property(anyZone, anyTime, fc.integer({ min: 2000, max: 2030 }), (timeZone, at, year) => {
      const timing = { ...schedule(), timeZone, at }
      const [from, to] = [Date.UTC(year, 0, 1), Date.UTC(year + 10, 0, 1)]
      const dates = new Set<string>()
      for (let instantMs = from; instantMs < to; instantMs += 12 * hourMs) dates.add(wall(timeZone, instantMs).slice(0, 10))

      const turns = [nextTurn(timing, 0, new Date(from - 2 * dayMs))]
      while (turns.at(-1)!.startsAt.getTime() < to + 2 * dayMs) turns.push(nextTurn(timing, 0, turns.at(-1)!.startsAt))
      const [first, last] = [Math.min, Math.max].map((pick) => new Date(pick(...[...dates].map((date) => Date.parse(date)))).toISOString().slice(0, 10))
      expect(turns.map(({ period }) => period).filter((period) => period >= first! && period <= last!)).toEqual([...dates])

      for (const [n, { period, startsAt }] of turns.entries()) {
        if (n > 0 && startsAt <= turns[n - 1]!.startsAt) expect.fail(`${period} does not start after the one before`)
        const wanted = `${period} ${timeText(at)}`
        if (wall(timeZone, startsAt.getTime()) !== wanted) expect(startsAt).toEqual(new Date(firstMinute(timeZone, wanted)))
      }
      expect(turnsOf(timing, new Date(from - 2 * dayMs).toISOString(), 20)).toEqual(turns.slice(0, 20))
    }),
    { numRuns: 8 },
  )
})

test('on the days of a change a local time is found where a search of all minutes finds it', () => {
  fc.assert(
    fc.property(anyZone, anyTime, fc.integer({ min: 2000, max: 2039 }), fc.nat(), (timeZone, at, year, pick) => {
      const ahead = (n: number) => Date.parse(`${wall(timeZone, Date.UTC(year, 0, n)).replace(' ', 'T')}Z`) - Date.UTC(year, 0, n)
      const days = Array.from({ length: 366 }, (_, n) => n)
      const changes = days.flatMap((n) => (ahead(n) === ahead(n + 1) ? [] : [n - 1, n, n + 1]))
      const day = (changes.length > 0 ? changes : days)[pick % (changes.length || days.length)]!
      const date = new Date(Date.UTC(year, 0, day)).toISOString().slice(0, 10)
      expect(instantOf(timeZone, date, at)).toEqual(new Date(firstMinute(timeZone, `${date} ${timeText(at)}`)))
    }),
    { numRuns: 40 },
  )
})

test('a cron answers as croner does, in whatever order it is asked', () => {
  const anyCron = anyTiming.map((timing) => ({ ...timing, cadence: 'custom' }) as const)
  fc.assert(
    fc.property(anyCron, anyInstant, fc.array(fc.integer({ min: 0, max: 4 * 24 * 60 }), { minLength: 5, maxLength: 40 }), (timing, from, minutes) => {
      const croner = new Cron(timing.cron!, { mode: '5-part', timezone: timing.timeZone })
      for (const minute of minutes) {
        const now = new Date(Math.floor(from.getTime() / minuteMs + minute) * minuteMs)
        expect(turnBefore(timing, 0, now).startsAt).toEqual(croner.previousRuns(1, now)[0])
        expect(nextTurn(timing, 0, now).startsAt).toEqual(croner.nextRun(now))
      }
    }),
    { numRuns: 60 },
  )
})

test('the latest, the one before and the next turn agree with one another, for every cadence', () => {
  fc.assert(
    fc.property(anyTiming, fc.integer({ min: 0, max: 1439 }), anyInstant, fc.double({ min: 0, max: 1, noNaN: true }), (timing, spread, now, share) => {
      const latest = latestTurn(timing, spread, now)
      const next = nextTurn(timing, spread, now)
      expect(latest.startsAt.getTime()).toBeLessThanOrEqual(now.getTime())
      expect(next.startsAt.getTime()).toBeGreaterThan(now.getTime())
      expect(next.period > latest.period).toBe(true)
      expect(turnBefore(timing, spread, next.startsAt)).toEqual(latest)
      expect(nextTurn(timing, spread, latest.startsAt)).toEqual(next)
      expect(latestTurn(timing, spread, latest.startsAt)).toEqual(latest)
      const between = new Date(latest.startsAt.getTime() + Math.floor(share * (next.startsAt.getTime() - latest.startsAt.getTime() - 1)))
      expect(latestTurn(timing, spread, between)).toEqual(latest)
      expect(nextTurn(timing, spread, between)).toEqual(next)
      const previous = turnBefore(timing, spread, latest.startsAt)
      expect(previous.startsAt.getTime()).toBeLessThan(latest.startsAt.getTime())
      expect(nextTurn(timing, spread, previous.startsAt)).toEqual(latest)
    }),
    { numRuns: 600 },
  )
})

test('each week, month and year has one date, the day of its schedule or the last of a shorter month', () => {
  fc.assert(
    fc.property(anyTiming.filter(({ cadence }) => cadence === 'weekly' || cadence === 'monthly' || cadence === 'yearly'), anyInstant, (timing, from) => {
      const { cadence, dayOfMonth, month, dayOfWeek } = timing
      const turns = turnsOf({ ...timing, timeZone: 'Europe/Stockholm' }, from.toISOString(), 30)
      for (const [n, { period }] of turns.entries()) {
        const date = new Date(period)
        const [nextYear, nextMonth] = [date.getUTCFullYear(), date.getUTCMonth() + 1]
        if (cadence === 'weekly') expect(date.toLocaleDateString('en', { weekday: 'long', timeZone: 'UTC' }).toLowerCase()).toBe(dayOfWeek)
        else expect(date.getUTCDate()).toBe(Math.min(dayOfMonth, new Date(Date.UTC(nextYear, nextMonth, 0)).getUTCDate()))
        if (cadence === 'yearly') expect(nextMonth).toBe(month)
        if (n === 0) continue
        const before = new Date(turns[n - 1]!.period)
        if (cadence === 'weekly') expect(date.getTime() - before.getTime()).toBe(7 * dayMs)
        else expect((nextYear - before.getUTCFullYear()) * 12 + nextMonth - 1 - before.getUTCMonth()).toBe(cadence === 'monthly' ? 1 : 12)
      }
    }),
    { numRuns: 40 },
  )
})

/** The turns that begin after an instant, found forwards and then backwards. */
function turnsOf(timing: Timing, from: string, count: number): Turn[] {
  const turns: Turn[] = []
  for (let after = new Date(from); turns.length < count; after = turns.at(-1)!.startsAt) turns.push(nextTurn(timing, 0, after))
  const backwards = [latestTurn(timing, 0, turns.at(-1)!.startsAt)]
  while (backwards.length < count) backwards.unshift(turnBefore(timing, 0, backwards[0]!.startsAt))
  expect(backwards).toEqual(turns)
  return turns
}

function minuteText(instant: Date): string {
  return `${instant.toISOString().slice(0, 16)}Z`
}
