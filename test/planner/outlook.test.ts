import { expect, test } from 'vitest'
import { spreadOf } from '../../lib/planner/calendar.ts'
import { outlook } from '../../lib/planner/outlook.ts'
import { schedule, web1 } from '../support/builders.ts'

/** The runs after `from`, each as its period, its local start, and what clocks do to it. */
test.each<[sentence: string, item: Record<string, unknown>, from: string, runs: string[]]>([
  ['nothing to tell', {}, '2026-11-21T01:00Z', ['2026-11-22 | 2026-11-22 01:00 +00:00', '2026-11-23 | 2026-11-23 01:00 +00:00']],
  ['weekly', { cadence: 'weekly', dayOfWeek: 'saturday' }, '2026-11-21T00:59Z', ['2026-11-21 | 2026-11-21 01:00 +00:00', '2026-11-28 | 2026-11-28 01:00 +00:00']],
  ['monthly on the 31st', { cadence: 'monthly', dayOfMonth: 31 }, '2026-01-31T02:00Z', ['2026-02-28 | 2026-02-28 01:00 +00:00', '2026-03-31 | 2026-03-31 01:00 +00:00']],
  ['custom', { cadence: 'custom', cron: '1 6-18/12 * * *' }, '2026-11-21T12:00Z', ['2026-11-21T18:01Z | 2026-11-21 18:01 +00:00', '2026-11-22T06:01Z | 2026-11-22 06:01 +00:00']],
  ['a zone that is behind UTC', { timeZone: 'America/St_Johns' }, '2026-11-21T12:00Z', ['2026-11-22 | 2026-11-22 01:00 -03:30']],
  ['a zone with odd minutes', { timeZone: 'Asia/Kathmandu' }, '2026-11-21T12:00Z', ['2026-11-22 | 2026-11-22 01:00 +05:45']],
  ['clocks that go back before a run', { timeZone: 'Europe/Stockholm', at: '12:00' }, '2026-10-23T12:00Z', [
    '2026-10-24 | 2026-10-24 12:00 +02:00',
    '2026-10-25 | 2026-10-25 12:00 +01:00 | clocks went back by 1 h',
    '2026-10-26 | 2026-10-26 12:00 +01:00',
  ]],
  ['clocks that go forward since the outlook began', { timeZone: 'Europe/Stockholm', at: '12:00' }, '2026-03-29T00:59Z', [
    '2026-03-29 | 2026-03-29 12:00 +02:00 | clocks went forward by 1 h',
    '2026-03-30 | 2026-03-30 12:00 +02:00',
  ]],
  ['clocks that went forward before the outlook began', { timeZone: 'Europe/Stockholm', at: '12:00' }, '2026-03-29T01:00Z', ['2026-03-29 | 2026-03-29 12:00 +02:00']],
  ['a time that is skipped', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-03-28T12:00Z', [
    '2026-03-29 | 2026-03-29 03:00 +02:00 | clocks went forward by 1 h: 02:30 is skipped on this day; it runs at 03:00',
    '2026-03-30 | 2026-03-30 02:30 +02:00',
  ]],
  ['a time that comes twice', { timeZone: 'Europe/Stockholm', at: '02:30' }, '2026-10-24T12:00Z', [
    '2026-10-25 | 2026-10-25 02:30 +02:00 | 02:30 comes twice on this day; it runs the first time',
    '2026-10-26 | 2026-10-26 02:30 +01:00 | clocks went back by 1 h',
  ]],
  ['the first minute that comes twice', { timeZone: 'Europe/Stockholm', at: '02:00' }, '2026-10-24T12:00Z', ['2026-10-25 | 2026-10-25 02:00 +02:00 | 02:00 comes twice on this day; it runs the first time']],
  ['the last minute that comes once, on the same day', { timeZone: 'Europe/Stockholm', at: '01:59' }, '2026-10-24T12:00Z', ['2026-10-25 | 2026-10-25 01:59 +02:00']],
  ['half an hour that is skipped', { timeZone: 'Australia/Lord_Howe', at: '02:15' }, '2026-10-03T12:00Z', ['2026-10-04 | 2026-10-04 02:30 +11:00 | clocks went forward by 30 min: 02:15 is skipped on this day; it runs at 02:30']],
  ['half an hour that comes twice', { timeZone: 'Australia/Lord_Howe', at: '01:45' }, '2026-04-04T12:00Z', [
    '2026-04-05 | 2026-04-05 01:45 +11:00 | 01:45 comes twice on this day; it runs the first time',
    '2026-04-06 | 2026-04-06 01:45 +10:30 | clocks went back by 30 min',
  ]],
  ['two hours that are skipped', { timeZone: 'Antarctica/Troll' }, '2026-03-28T12:00Z', ['2026-03-29 | 2026-03-29 03:00 +02:00 | clocks went forward by 2 h: 01:00 is skipped on this day; it runs at 03:00']],
  ['the end of a day that is skipped', { timeZone: 'Asia/Pyongyang', at: '23:45' }, '2018-05-04T12:00Z', [
    '2018-05-04 | 2018-05-05 00:00 +09:00 | clocks went forward by 30 min: 23:45 is skipped on this day; it runs at 00:00 on 2018-05-05',
    '2018-05-05 | 2018-05-05 23:45 +09:00',
  ]],
  ['a date that is left out', { timeZone: 'Pacific/Apia' }, '2011-12-28T12:00Z', [
    '2011-12-29 | 2011-12-29 01:00 -10:00',
    '2011-12-31 | 2011-12-31 01:00 +14:00 | clocks went forward by 24 h',
  ]],
  ['an hour and a half', { timeZone: 'America/Montevideo', at: '12:00' }, '1974-01-12T18:00Z', ['1974-01-13 | 1974-01-13 12:00 -01:30 | clocks went forward by 1 h 30 min']],
  ['a zone that is moved', { timeZone: 'Antarctica/Casey', cadence: 'monthly' }, '2010-03-04T12:00Z', ['2010-04-01 | 2010-04-01 01:00 +08:00 | clocks went back by 3 h']],
  ['clocks that went forward and back between two runs', { timeZone: 'Europe/Stockholm', cadence: 'yearly' }, '2026-01-10T00:00Z', ['2027-01-01 | 2027-01-01 01:00 +01:00']],
  ['a cron with a fixed time that is skipped', { timeZone: 'Europe/Stockholm', cadence: 'custom', cron: '30 2 * * *' }, '2026-03-28T12:00Z', ['2026-03-29T01:00Z | 2026-03-29 03:00 +02:00 | clocks went forward by 1 h: 02:30 is skipped on this day; it runs at 03:00']],
  ['a cron with a fixed time that comes twice', { timeZone: 'Europe/Stockholm', cadence: 'custom', cron: '05 02 * * *' }, '2026-10-24T12:00Z', ['2026-10-25T00:05Z | 2026-10-25 02:05 +02:00 | 02:05 comes twice on this day; it runs the first time']],
  ['a cron with several minutes, which has no time of its own', { timeZone: 'Europe/Stockholm', cadence: 'custom', cron: '*/30 2 * * *' }, '2026-10-24T12:00Z', [
    '2026-10-25T00:00Z | 2026-10-25 02:00 +02:00',
    '2026-10-25T00:30Z | 2026-10-25 02:30 +02:00',
    '2026-10-25T01:00Z | 2026-10-25 02:00 +01:00 | clocks went back by 1 h',
  ]],
  ['a cron that goes on through the hour that comes twice', { timeZone: 'Europe/Stockholm', cadence: 'custom', cron: '30 * * * *' }, '2026-10-25T00:00Z', [
    '2026-10-25T00:30Z | 2026-10-25 02:30 +02:00',
    '2026-10-25T01:30Z | 2026-10-25 02:30 +01:00 | clocks went back by 1 h',
    '2026-10-25T02:30Z | 2026-10-25 03:30 +01:00',
  ]],
])('%s', (_sentence, item, from, runs) => {
  const upcoming = outlook(schedule(item), web1, new Date(from), runs.length)
  expect(upcoming.map(({ period, local, clockChange }) => [period, local, ...(clockChange === undefined ? [] : [clockChange])].join(' | '))).toEqual(runs)
})

test("a server's runs are later by its share of the spread, which is counted from the time that is meant", () => {
  const spread = schedule({ timeZone: 'Europe/Stockholm', at: '02:30', spread: 60 })
  expect(spreadOf(spread, web1)).toBe(47)
  expect(outlook(spread, web1, new Date('2026-03-28T12:00:00Z'), 1)).toEqual([
    { period: '2026-03-29', startsAt: new Date('2026-03-29T01:47:00Z'), local: '2026-03-29 03:47 +02:00', clockChange: 'clocks went forward by 1 h: 02:30 is skipped on this day; it runs at 03:47' },
  ])
  // The gap is over when this outlook begins, and the run that it has moved is still to come.
  expect(outlook(spread, web1, new Date('2026-03-29T01:10:00Z'), 1)).toMatchObject([{ clockChange: '02:30 is skipped on this day; it runs at 03:47' }])
  expect(outlook(spread, web1, new Date('2026-10-24T12:00:00Z'), 1)).toEqual([
    { period: '2026-10-25', startsAt: new Date('2026-10-25T01:17:00Z'), local: '2026-10-25 02:17 +01:00', clockChange: 'clocks went back by 1 h: 02:30 comes twice on this day; it runs 47 min after the first time' },
  ])
})

test('while the server is not known, its runs are at the earliest that any has', () => {
  expect(outlook(schedule({ spread: 60 }), undefined, new Date('2026-11-21T12:00:00Z'), 1)).toEqual([
    { period: '2026-11-22', startsAt: new Date('2026-11-22T01:00:00Z'), local: '2026-11-22 01:00 +00:00' },
  ])
})

test('no runs are none', () => {
  expect(outlook(schedule(), web1, new Date('2026-11-21T12:00:00Z'), 0)).toEqual([])
})
