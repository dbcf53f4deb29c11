import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { Image } from '../../lib/model/image.ts'
import { calendarRules, durationSchema, keepLast, type KeepRules } from '../../lib/model/keep.ts'
import { applyRules } from '../../lib/planner/keep.ts'
import { id, image } from '../support/builders.ts'

/** Rules as an item has them; `within` as text. */
type Rules = Partial<Omit<KeepRules, 'within'>> & { readonly within?: string }
const rulesOf = ({ within, ...counts }: Rules): KeepRules => ({ ...keepLast(0), ...counts, within: within === undefined ? undefined : durationSchema.parse(within) })

/** An instant in UTC without its zone, the time 12:00 where none is said. */
const instant = (text: string) => new Date(text.length > 10 ? `${text.replace(' ', 'T')}Z` : `${text}T12:00:00Z`)
const said = ({ kept, reason }: { kept: boolean; reason: string }) => `${kept ? 'kept' : 'deleted'}: ${reason}`

/**
 * Each row: the rules, and for images made at these instants in UTC, newest first, what becomes of them.
 *
 * The rows follow the manual of restic on `restic forget`, from which this differs on purpose:
 * an image counts in the unit in which Glance made it, in the schedule's zone, where restic has the zone of each snapshot;
 * only good images are in a pool; `within` holds at its very end too, is counted from the newest image even where that is
 * of the future, and takes the last day of a month for one that the month does not have, where restic goes on into the next;
 * there is neither `hourly`, nor `within` for each unit, nor a number for "all", nor tags.
 */
describe.each<[sentence: string, rules: Rules, images: [when: string, fate: string][], timeZone?: string]>([
  ['last: the newest ones, whatever their age', { last: 2 }, [
    ['2026-11-21', 'kept: good image 1 of 2'],
    ['2019-01-01', 'kept: good image 2 of 2'],
    ['2018-01-01', 'deleted: 2 newer good images are kept'],
  ]],
  ['last 1', { last: 1 }, [
    ['2026-11-21', 'kept: good image 1 of 1'],
    ['2026-11-20', 'deleted: a newer good image is kept'],
  ]],
  ['daily: the newest of each day, and days without an image do not count', { daily: 3 }, [
    ['2026-11-21 18:00', 'kept: the newest of 2026-11-21 (daily 1 of 3)'],
    ['2026-11-21 06:00', 'deleted: a newer one of 2026-11-21 is kept'],
    ['2026-11-20 23:59:59', 'kept: the newest of 2026-11-20 (daily 2 of 3)'],
    ['2026-11-20 00:00', 'deleted: a newer one of 2026-11-20 is kept'],
    ['2026-10-02', 'kept: the newest of 2026-10-02 (daily 3 of 3)'],
    ['2026-10-01', 'deleted: the newest of 3 newer days are kept'],
  ]],
  ['daily 1', { daily: 1 }, [
    ['2026-11-21 18:00', 'kept: the newest of 2026-11-21 (daily 1 of 1)'],
    ['2026-11-21 06:00', 'deleted: a newer one of 2026-11-21 is kept'],
    ['2026-11-20', 'deleted: the newest of a newer day is kept'],
  ]],
  ["the manual's example: an image on each of twelve Sundays, daily 4", { daily: 4 }, [
    ['2019-11-17', 'kept: the newest of 2019-11-17 (daily 1 of 4)'],
    ['2019-11-10', 'kept: the newest of 2019-11-10 (daily 2 of 4)'],
    ['2019-11-03', 'kept: the newest of 2019-11-03 (daily 3 of 4)'],
    ['2019-10-27', 'kept: the newest of 2019-10-27 (daily 4 of 4)'],
    ...['2019-10-20', '2019-10-13', '2019-10-06', '2019-09-29', '2019-09-22', '2019-09-15', '2019-09-08', '2019-09-01'].map(
      (sunday): [string, string] => [sunday, 'deleted: the newest of 4 newer days are kept'],
    ),
  ]],
  ['weekly: weeks begin on Monday, and the one around New Year is one', { weekly: 2 }, [
    ['2021-01-04', 'kept: the newest of the week of 2021-01-04 (weekly 1 of 2)'],
    ['2021-01-03', 'kept: the newest of the week of 2020-12-28 (weekly 2 of 2)'],
    ['2021-01-01', 'deleted: a newer one of the week of 2020-12-28 is kept'],
    ['2020-12-31', 'deleted: a newer one of the week of 2020-12-28 is kept'],
    ['2020-12-28', 'deleted: a newer one of the week of 2020-12-28 is kept'],
    ['2020-12-27', 'deleted: the newest of 2 newer weeks are kept'],
  ]],
  ['weekly: a year of 52 weeks ends in the middle of one too', { weekly: 3 }, [
    ['2020-01-05', 'kept: the newest of the week of 2019-12-30 (weekly 1 of 3)'],
    ['2019-12-30', 'deleted: a newer one of the week of 2019-12-30 is kept'],
    ['2019-12-29', 'kept: the newest of the week of 2019-12-23 (weekly 2 of 3)'],
    ['2019-12-22', 'kept: the newest of the week of 2019-12-16 (weekly 3 of 3)'],
  ]],
  ['weekly 1', { weekly: 1 }, [
    ['2026-11-16', 'kept: the newest of the week of 2026-11-16 (weekly 1 of 1)'],
    ['2026-11-15', 'deleted: the newest of a newer week is kept'],
  ]],
  ['monthly: the newest of each month, of any year', { monthly: 3 }, [
    ['2026-03-01', 'kept: the newest of 2026-03 (monthly 1 of 3)'],
    ['2026-02-28', 'kept: the newest of 2026-02 (monthly 2 of 3)'],
    ['2026-02-01', 'deleted: a newer one of 2026-02 is kept'],
    ['2025-03-31', 'kept: the newest of 2025-03 (monthly 3 of 3)'],
    ['2025-03-30', 'deleted: a newer one of 2025-03 is kept'],
    ['2025-02-28', 'deleted: the newest of 3 newer months are kept'],
  ]],
  ['yearly: the newest of each year', { yearly: 2 }, [
    ['2026-01-01 00:00', 'kept: the newest of 2026 (yearly 1 of 2)'],
    ['2025-12-31 23:59:59', 'kept: the newest of 2025 (yearly 2 of 2)'],
    ['2025-01-01', 'deleted: a newer one of 2025 is kept'],
    ['2024-12-31', 'deleted: the newest of 2 newer years are kept'],
  ]],
  ['within: to its very end, from the newest image on', { within: 'P14D' }, [
    ['2019-06-15 12:00:00', 'kept: within P14D of the newest'],
    ['2019-06-01 12:00:00', 'kept: within P14D of the newest'],
    ['2019-06-01 11:59:59', 'deleted: it is more than P14D older than the newest'],
  ]],
  ['within: the images of a schedule that stopped long ago stay', { within: 'P1D' }, [
    ['2009-01-02', 'kept: within P1D of the newest'],
    ['2009-01-01', 'kept: within P1D of the newest'],
  ]],
  ['within: hours', { within: 'PT30H' }, [
    ['2026-11-21 12:00', 'kept: within PT30H of the newest'],
    ['2026-11-20 06:00', 'kept: within PT30H of the newest'],
    ['2026-11-20 05:59', 'deleted: it is more than PT30H older than the newest'],
  ]],
  ['within: years, months, weeks, days and hours', { within: 'P1Y2M1W3DT4H' }, [
    ['2026-11-21 12:00', 'kept: within P1Y2M1W3DT4H of the newest'],
    ['2025-09-11 08:00', 'kept: within P1Y2M1W3DT4H of the newest'],
    ['2025-09-11 07:59', 'deleted: it is more than P1Y2M1W3DT4H older than the newest'],
  ]],
  ['within: a month before its 31st is the last day of a shorter one', { within: 'P1M' }, [
    ['2026-03-31 12:00', 'kept: within P1M of the newest'],
    ['2026-02-28 12:00', 'kept: within P1M of the newest'],
    ['2026-02-28 11:59', 'deleted: it is more than P1M older than the newest'],
  ]],
  ['within: a month before its first', { within: 'P1M' }, [
    ['2026-03-01 12:00', 'kept: within P1M of the newest'],
    ['2026-02-01 12:00', 'kept: within P1M of the newest'],
    ['2026-02-01 11:59', 'deleted: it is more than P1M older than the newest'],
  ]],
  ['within: a year before a leap day is the 28th', { within: 'P1Y' }, [
    ['2024-02-29 12:00', 'kept: within P1Y of the newest'],
    ['2023-02-28 12:00', 'kept: within P1Y of the newest'],
    ['2023-02-28 11:59', 'deleted: it is more than P1Y older than the newest'],
  ]],
  ['within: months go back over New Year', { within: 'P14M' }, [
    ['2026-01-31 12:00', 'kept: within P14M of the newest'],
    ['2024-11-30 12:00', 'kept: within P14M of the newest'],
    ['2024-11-30 11:59', 'deleted: it is more than P14M older than the newest'],
  ]],
  ['within: as many years as months', { within: 'P1Y1M' }, [
    ['2026-11-21', 'kept: within P1Y1M of the newest'],
    ['2025-10-21', 'kept: within P1Y1M of the newest'],
    ['2025-10-20', 'deleted: it is more than P1Y1M older than the newest'],
  ]],
  ['within: longer than there have been images', { within: 'P1950Y' }, [
    ['2026-11-21', 'kept: within P1950Y of the newest'],
    ['1970-01-02', 'kept: within P1950Y of the newest'],
  ]],
  ['within: longer than there have been calendars', { within: 'P9999YT1H' }, [
    ['2026-11-21', 'kept: within P9999YT1H of the newest'],
    ['1970-01-02', 'kept: within P9999YT1H of the newest'],
  ]],
  ['all rules: an image is kept if any one holds, and each that holds is named', { last: 2, daily: 3, weekly: 2, monthly: 2, yearly: 1, within: 'P2D' }, [
    ['2026-11-21', 'kept: good image 1 of 2; the newest of 2026-11-21 (daily 1 of 3); the newest of the week of 2026-11-16 (weekly 1 of 2); the newest of 2026-11 (monthly 1 of 2); the newest of 2026 (yearly 1 of 1); within P2D of the newest'],
    ['2026-11-20 18:00', 'kept: good image 2 of 2; the newest of 2026-11-20 (daily 2 of 3); within P2D of the newest'],
    ['2026-11-20 06:00', 'kept: within P2D of the newest'],
    ['2026-11-17', 'kept: the newest of 2026-11-17 (daily 3 of 3)'],
    ['2026-11-16', 'deleted: 2 newer good images are kept; the newest of 3 newer days are kept; a newer one of the week of 2026-11-16 is kept; a newer one of 2026-11 is kept; a newer one of 2026 is kept; it is more than P2D older than the newest'],
    ['2026-11-15', 'kept: the newest of the week of 2026-11-09 (weekly 2 of 2)'],
    ['2026-10-31', 'kept: the newest of 2026-10 (monthly 2 of 2)'],
    ['2026-09-30', 'deleted: 2 newer good images are kept; the newest of 3 newer days are kept; the newest of 2 newer weeks are kept; the newest of 2 newer months are kept; a newer one of 2026 is kept; it is more than P2D older than the newest'],
  ]],
  ['the oldest is kept too, while a rule has counts left', { monthly: 12 }, [
    ['2026-11-21', 'kept: the newest of 2026-11 (monthly 1 of 12)'],
    ['2026-11-20', 'deleted: a newer one of 2026-11 is kept'],
    ['2026-10-31', 'kept: the newest of 2026-10 (monthly 2 of 12)'],
    ['2026-10-05', 'deleted: a newer one of 2026-10 is kept'],
    ['2026-10-04', 'kept: the oldest (monthly 3 of 12)'],
  ]],
  ['the oldest is kept by the last count that is left', { monthly: 2 }, [
    ['2026-11-21', 'kept: the newest of 2026-11 (monthly 1 of 2)'],
    ['2026-11-20', 'deleted: a newer one of 2026-11 is kept'],
    ['2026-11-19', 'kept: the oldest (monthly 2 of 2)'],
  ]],
  ['the oldest is not kept once all counts are used', { monthly: 2 }, [
    ['2026-11-21', 'kept: the newest of 2026-11 (monthly 1 of 2)'],
    ['2026-10-31', 'kept: the newest of 2026-10 (monthly 2 of 2)'],
    ['2026-10-04', 'deleted: a newer one of 2026-10 is kept'],
  ]],
  ['the oldest that is the newest of its unit is counted once', { monthly: 12 }, [
    ['2026-11-21', 'kept: the newest of 2026-11 (monthly 1 of 12)'],
    ['2026-10-31', 'kept: the newest of 2026-10 (monthly 2 of 12)'],
  ]],
  ['the oldest is kept by each calendar rule with counts left, and by no other', { last: 1, daily: 2, weekly: 2, yearly: 5, within: 'P1D' }, [
    ['2026-11-18', 'kept: good image 1 of 1; the newest of 2026-11-18 (daily 1 of 2); the newest of the week of 2026-11-16 (weekly 1 of 2); the newest of 2026 (yearly 1 of 5); within P1D of the newest'],
    ['2026-11-17', 'kept: the newest of 2026-11-17 (daily 2 of 2); within P1D of the newest'],
    ['2026-11-16 12:00', 'deleted: a newer good image is kept; the newest of 2 newer days are kept; a newer one of the week of 2026-11-16 is kept; a newer one of 2026 is kept; it is more than P1D older than the newest'],
    ['2026-11-16 06:00', 'kept: the oldest (weekly 2 of 2); the oldest (yearly 2 of 5)'],
  ]],
  ['the oldest may be within as well', { monthly: 12, within: 'P14D' }, [
    ['2026-11-21', 'kept: the newest of 2026-11 (monthly 1 of 12); within P14D of the newest'],
    ['2026-11-20', 'kept: within P14D of the newest'],
    ['2026-11-19', 'kept: within P14D of the newest; the oldest (monthly 2 of 12)'],
  ]],
  ['the only image is kept by each rule', { last: 3, yearly: 2, within: 'P1Y' }, [
    ['2026-11-21', 'kept: good image 1 of 3; the newest of 2026 (yearly 1 of 2); within P1Y of the newest'],
  ]],
  ['a day is one of the zone', { daily: 2 }, [
    ['2026-11-20 18:15', 'kept: the newest of 2026-11-21 (daily 1 of 2)'],
    ['2026-11-20 18:14:59', 'kept: the newest of 2026-11-20 (daily 2 of 2)'],
    ['2026-11-19 18:15', 'deleted: a newer one of 2026-11-20 is kept'],
    ['2026-11-19 18:14', 'deleted: the newest of 2 newer days are kept'],
  ], 'Asia/Kathmandu'],
  ['week, month and year are those of the zone', { weekly: 2, monthly: 2, yearly: 2 }, [
    ['2024-01-01 05:00', 'kept: the newest of the week of 2024-01-01 (weekly 1 of 2); the newest of 2024-01 (monthly 1 of 2); the newest of 2024 (yearly 1 of 2)'],
    ['2024-01-01 04:59', 'kept: the newest of the week of 2023-12-25 (weekly 2 of 2); the newest of 2023-12 (monthly 2 of 2); the newest of 2023 (yearly 2 of 2)'],
    ['2024-01-01 00:00', 'deleted: a newer one of the week of 2023-12-25 is kept; a newer one of 2023-12 is kept; a newer one of 2023 is kept'],
  ], 'America/New_York'],
  ['a day of 23 hours, in spring', { daily: 2 }, [
    ['2026-03-29 22:00', 'kept: the newest of 2026-03-30 (daily 1 of 2)'],
    ['2026-03-29 21:59', 'kept: the newest of 2026-03-29 (daily 2 of 2)'],
    ['2026-03-28 23:00', 'deleted: a newer one of 2026-03-29 is kept'],
    ['2026-03-28 22:59', 'deleted: the newest of 2 newer days are kept'],
  ], 'Europe/Stockholm'],
  ['a day of 25 hours, in autumn', { daily: 2 }, [
    ['2026-10-25 23:00', 'kept: the newest of 2026-10-26 (daily 1 of 2)'],
    ['2026-10-25 22:59', 'kept: the newest of 2026-10-25 (daily 2 of 2)'],
    ['2026-10-24 22:00', 'deleted: a newer one of 2026-10-25 is kept'],
    ['2026-10-24 21:59', 'deleted: the newest of 2 newer days are kept'],
  ], 'Europe/Stockholm'],
  ['a day that clocks come back to at 00:01 is one', { daily: 3 }, [
    ['2010-11-07 04:00', 'kept: the newest of 2010-11-07 (daily 1 of 3)'],
    ['2010-11-07 02:31', 'kept: the newest of 2010-11-06 (daily 2 of 3)'],
    ['2010-11-07 02:30', 'deleted: a newer one of 2010-11-07 is kept'],
    ['2010-11-07 02:29', 'deleted: a newer one of 2010-11-06 is kept'],
    ['2010-11-06 00:00', 'kept: the newest of 2010-11-05 (daily 3 of 3)'],
  ], 'America/St_Johns'],
  ['within: a day of 23 hours', { within: 'P1D' }, [
    ['2026-03-29 12:00', 'kept: within P1D of the newest'],
    ['2026-03-28 13:00', 'kept: within P1D of the newest'],
    ['2026-03-28 12:59', 'deleted: it is more than P1D older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: a day of 25 hours', { within: 'P1D' }, [
    ['2026-10-25 12:00', 'kept: within P1D of the newest'],
    ['2026-10-24 11:00', 'kept: within P1D of the newest'],
    ['2026-10-24 10:59', 'deleted: it is more than P1D older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: hours are as they pass, on a day of 25 hours too', { within: 'PT24H' }, [
    ['2026-10-25 12:00', 'kept: within PT24H of the newest'],
    ['2026-10-24 12:00', 'kept: within PT24H of the newest'],
    ['2026-10-24 11:59', 'deleted: it is more than PT24H older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: hours are taken after the days', { within: 'P1DT2H' }, [
    ['2026-10-26 01:00', 'kept: within P1DT2H of the newest'],
    ['2026-10-24 22:00', 'kept: within P1DT2H of the newest'],
    ['2026-10-24 21:59', 'deleted: it is more than P1DT2H older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: of a local time that comes twice the earlier', { within: 'P1D' }, [
    ['2026-10-26 01:30', 'kept: within P1D of the newest'],
    ['2026-10-25 01:30', 'kept: within P1D of the newest'],
    ['2026-10-25 00:30', 'kept: within P1D of the newest'],
    ['2026-10-25 00:29:59', 'deleted: it is more than P1D older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: of a local time that is skipped the earlier instant that could be meant', { within: 'P1D' }, [
    ['2026-03-30 00:30', 'kept: within P1D of the newest'],
    ['2026-03-29 00:30', 'kept: within P1D of the newest'],
    ['2026-03-29 00:29:59', 'deleted: it is more than P1D older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: days before one on which clocks change', { within: 'P2D' }, [
    ['2026-10-26 12:00', 'kept: within P2D of the newest'],
    ['2026-10-24 11:00', 'kept: within P2D of the newest'],
    ['2026-10-24 10:59', 'deleted: it is more than P2D older than the newest'],
  ], 'Europe/Stockholm'],
  ['within: a zone that was another one before', { within: 'P7D' }, [
    ['2012-01-06 22:00', 'kept: within P7D of the newest'],
    ['2011-12-30 22:00', 'kept: within P7D of the newest'],
    ['2011-12-30 21:59', 'deleted: it is more than P7D older than the newest'],
  ], 'Pacific/Apia'],
])('%s', (_sentence, rules, rows, timeZone = 'UTC') => {
  const images = rows.map(([when], n) => image({ id: id(90 - n), createdAt: instant(when) }))

  test.each([['newest first', images], ['oldest first', images.toReversed()]])('listed %s', (_order, listing) => {
    const fates = applyRules(listing, rulesOf(rules), timeZone)
    expect(fates.map((fate, n) => [rows[n]?.[0], said(fate)])).toEqual(rows)
    expect(fates.map(({ image }) => image)).toEqual(images)
  })
})

test('images of one second are told apart by id', () => {
  const images = [7, 9, 8].map((n) => image({ id: id(n), createdAt: instant('2026-11-21') }))
  expect(applyRules(images, rulesOf({ last: 1, daily: 2 }), 'UTC').map((fate) => [fate.image.id, said(fate)])).toEqual([
    [id(9), 'kept: good image 1 of 1; the newest of 2026-11-21 (daily 1 of 2)'],
    [id(8), 'deleted: a newer good image is kept; a newer one of 2026-11-21 is kept'],
    [id(7), 'kept: the oldest (daily 2 of 2)'],
  ])
})

test('parts of a second count', () => {
  const images = ['2026-11-21T01:00:00.250Z', '2026-11-20T01:00:00.250Z', '2026-11-20T01:00:00.249Z'].map((when, n) => image({ id: id(n), createdAt: new Date(when) }))
  expect(applyRules(images, rulesOf({ within: 'P1D' }), 'Europe/Stockholm').map(({ kept }) => kept)).toEqual([true, true, false])
})

test('without an image there is nothing to decide', () => {
  expect(applyRules([], rulesOf({ last: 1, daily: 1, within: 'P1D' }), 'UTC')).toEqual([])
})

test('rules that say nothing delete nothing', () => {
  expect(applyRules([image({ id: id(2) }), image()], rulesOf({}), 'UTC').map(said)).toEqual(['kept: no rule says what to keep', 'kept: no rule says what to keep'])
})

test("the manual's example: an image a day for a hundred years, daily 7, weekly 5, monthly 12, yearly 75", () => {
  const images = Array.from({ length: 36_525 }, (_, n) => image({ id: id(n), createdAt: new Date(Date.UTC(1926, 10, 23 + n)) }))
  const kept = applyRules(images, rulesOf({ daily: 7, weekly: 5, monthly: 12, yearly: 75 }), 'UTC').filter(({ kept }) => kept)
  const by = (rule: string) => kept.filter(({ reason }) => reason.includes(`(${rule} `)).length
  expect(['daily', 'weekly', 'monthly', 'yearly'].map(by)).toEqual([7, 5, 12, 75])
  // Of the seven days one ends a week, a month and a year as far as they have come; of the months one more ends a year.
  expect(kept.length).toBe(7 + 4 + 11 + 73)
})

test('a zone is asked for only by rules that need one', () => {
  const images = [image({ id: id(2) }), image()]
  expect(applyRules(images, rulesOf({ last: 1, within: 'PT1H' }), 'No/Where')).toHaveLength(2)
  expect(() => applyRules(images, rulesOf({ last: 1, daily: 1 }), 'No/Where')).toThrow(RangeError)
  expect(() => applyRules(images, rulesOf({ within: 'P1D' }), 'No/Where')).toThrow(RangeError)
})

test('a zone is built once, however many pools and images there are', () => {
  const build = vi.spyOn(Intl, 'DateTimeFormat')
  for (let n = 0; n < 100; n += 1) applyRules([image({ id: id(2) }), image()], rulesOf({ daily: 1, within: 'P1D' }), 'Antarctica/Troll')
  expect(build).toHaveBeenCalledTimes(2)
})

const zones = ['UTC', 'Europe/Stockholm', 'America/New_York', 'America/St_Johns', 'America/Havana', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Pacific/Kiritimati', 'Pacific/Pago_Pago']
const anyZone = fc.constantFrom(...zones)
const anyCount = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.integer({ min: 1, max: 5 }) })
const anyWithin = fc.constantFrom(undefined, undefined, 'P1D', 'PT7H', 'P14D', 'P1M', 'P1Y', 'P1Y2M3DT4H')
const anyRules = fc
  .record({ last: anyCount, daily: anyCount, weekly: anyCount, monthly: anyCount, yearly: anyCount, within: anyWithin })
  .filter(({ within, ...counts }) => within !== undefined || Object.values(counts).some((count) => count > 0))
  .map(({ within, ...counts }) => rulesOf({ ...counts, ...(within && { within }) }))

const halfHourMs = 1_800_000
/** Images in clusters of some days around a few instants of three years, those of a zone's changes among them; several at one instant. */
const anyPool = fc
  .array(
    fc.record({
      around: fc.constantFrom('2024-02-29', '2024-03-31', '2024-12-30', '2025-10-26', '2026-01-01', '2026-03-08', '2026-03-29', '2026-11-01', '2026-11-21').map((date) => instant(date).getTime()),
      halfHours: fc.oneof(fc.integer({ min: -48, max: 48 }), fc.integer({ min: -1500, max: 1500 })),
    }),
    { maxLength: 30, size: 'max' },
  )
  .map((drawn) => drawn.map(({ around, halfHours }, n) => image({ id: id(n), createdAt: new Date(around + halfHours * halfHourMs) })))

const keptOf = (images: readonly Image[], rules: KeepRules, timeZone: string) => applyRules(images, rules, timeZone).flatMap(({ image, kept }) => (kept ? [image] : []))
const idsOf = (images: readonly Image[]) => images.map(({ id }) => id).toSorted()
const often = { numRuns: 500 }
const chronological = (images: readonly Image[]) => images.toSorted((a, b) => `${a.createdAt.toISOString()} ${a.id}`.localeCompare(`${b.createdAt.toISOString()} ${b.id}`))

test('each image has one fate, and the newest is kept', () => {
  fc.assert(
    fc.property(anyPool, anyRules, anyZone, (images, rules, timeZone) => {
      const fates = applyRules(images, rules, timeZone)
      expect(fates.map(({ image }) => image)).toEqual(chronological(images).toReversed())
      expect(fates.every(({ reason }) => reason !== '')).toBe(true)
      expect(fates[0]?.kept ?? true).toBe(true)
    }),
    often,
  )
})

test('neither the order of the listing nor the present time matters', () => {
  const shuffled = anyPool.chain((images) => fc.tuple(fc.constant(images), fc.shuffledSubarray(images, { minLength: images.length })))
  try {
    fc.assert(
      fc.property(shuffled, anyRules, anyZone, fc.date({ min: new Date('1990-01-01'), max: new Date('2090-01-01'), noInvalidDate: true }), ([images, listing], rules, timeZone, now) => {
        const fates = applyRules(images, rules, timeZone)
        vi.setSystemTime(now)
        expect(applyRules(listing, rules, timeZone)).toEqual(fates)
      }),
      often,
    )
  } finally {
    vi.useRealTimers()
  }
})

test('a schedule that has stopped loses nothing more: planned again, what was kept stays', () => {
  fc.assert(
    fc.property(anyPool, anyRules, anyZone, (images, rules, timeZone) => {
      const kept = keptOf(images, rules, timeZone)
      expect(keptOf(kept, rules, timeZone)).toEqual(kept)
    }),
    often,
  )
})

test('deleting that was broken off, oldest first, is gone on with as it was planned', () => {
  fc.assert(
    fc.property(anyPool, anyRules, anyZone, fc.nat(), (images, rules, timeZone, done) => {
      const kept = keptOf(images, rules, timeZone)
      const doomed = chronological(images.filter((one) => !kept.includes(one)))
      const left = [...kept, ...doomed.slice(done % (doomed.length + 1))]
      expect(keptOf(left, rules, timeZone)).toEqual(kept)
    }),
    often,
  )
})

test('more of any rule never deletes more', () => {
  fc.assert(
    fc.property(anyPool, anyRules, anyZone, fc.constantFrom('last', ...calendarRules), fc.integer({ min: 1, max: 4 }), (images, rules, timeZone, rule, more) => {
      const kept = keptOf(images, { ...rules, [rule]: rules[rule] + more }, timeZone)
      expect(kept).toEqual(expect.arrayContaining(keptOf(images, rules, timeZone)))
    }),
    often,
  )
})

test('images that are pruned as they come leave at least what is kept of them all at once', () => {
  fc.assert(
    fc.property(anyPool, anyRules, anyZone, (images, { within: _within, ...counts }, timeZone) => {
      const rules = { ...counts, within: undefined }
      let stay: Image[] = []
      for (const one of chronological(images)) stay = keptOf([...stay, one], rules, timeZone)
      expect(stay).toEqual(expect.arrayContaining(keptOf(images, rules, timeZone)))
    }),
    often,
  )
})

/** The rules once more, written in another way: each as the set of what it keeps. */
function reference(images: readonly Image[], rules: KeepRules, timeZone: string): string[] {
  const pool = chronological(images)
  const oldest = pool[0]
  const newest = pool.at(-1)
  if (!oldest || !newest) return []
  const kept = rules.last > 0 ? pool.slice(-rules.last) : []
  for (const [count, unitOf] of [[rules.daily, dayKey], [rules.weekly, weekKey], [rules.monthly, monthKey], [rules.yearly, yearKey]] as const) {
    if (count === 0) continue
    // The last image of a group is its newest one.
    const newestOfEach = [...Map.groupBy(pool, (one) => unitOf(clock(timeZone, one.createdAt.getTime()))).values()].map((group) => group.at(-1)!)
    kept.push(...chronological(newestOfEach).slice(-count))
    if (newestOfEach.length < count) kept.push(oldest)
  }
  const since = rules.within === undefined ? Infinity : sinceOf(newest.createdAt.getTime(), rules.within, timeZone)
  kept.push(...pool.filter(({ createdAt }) => createdAt.getTime() >= since))
  return idsOf([...new Set(kept)])
}

/** What the clocks of a zone show, as the milliseconds of a UTC that would show the same. */
function clock(timeZone: string, instant: number): number {
  const parts = Object.fromEntries(shown(timeZone).formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
  return Date.UTC(parts['year']!, parts['month']! - 1, parts['day'], parts['hour'], parts['minute'], parts['second'])
}
const formats = new Map<string, Intl.DateTimeFormat>()
function shown(timeZone: string): Intl.DateTimeFormat {
  const format = formats.get(timeZone) ?? new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' })
  formats.set(timeZone, format)
  return format
}

const dayMs = 86_400_000
const dayKey = (local: number) => Math.floor(local / dayMs)
const monthKey = (local: number) => new Date(local).toISOString().slice(0, 7)
const yearKey = (local: number) => new Date(local).getUTCFullYear()
/** The year and number of the week in ISO 8601: those of its Thursday. */
function weekKey(local: number): string {
  const thursday = new Date(local + (3 - ((new Date(local).getUTCDay() + 6) % 7)) * dayMs)
  const dayOfYear = dayKey(thursday.getTime()) - dayKey(Date.UTC(thursday.getUTCFullYear(), 0, 1))
  return `${thursday.getUTCFullYear()}-W${Math.floor(dayOfYear / 7) + 1}`
}

/** The first instant at which the zone shows the time that lies so far back; where none does, as if the clocks had been put forward already. */
function sinceOf(newest: number, { years, months, days, hours }: NonNullable<KeepRules['within']>, timeZone: string): number {
  if (years + months + days === 0) return newest - hours * 2 * halfHourMs
  const local = new Date(clock(timeZone, newest))
  const month = local.getUTCFullYear() * 12 + local.getUTCMonth() - years * 12 - months
  let day = local.getUTCDate()
  const at = () => new Date(Date.UTC(Math.floor(month / 12), month % 12, day) + (local.getTime() % dayMs))
  while (at().getUTCMonth() !== month % 12) day -= 1
  const meant = at().getTime() - days * dayMs
  const offsets = Array.from({ length: 105 }, (_, n) => 14 * 60 - n * 15).map((minutes) => minutes * 60_000)
  const instants = offsets.map((offset) => meant - offset)
  const first = instants.find((instant) => clock(timeZone, instant) >= meant)!
  // A time that no instant shows is shown late, by what the clocks were put forward.
  const late = clock(timeZone, first) - meant
  return first - late - hours * 2 * halfHourMs
}

test('the rules keep what they are said to, for any images in any zone', () => {
  fc.assert(
    fc.property(anyPool, anyRules, anyZone, (images, rules, timeZone) => {
      expect(idsOf(keptOf(images, rules, timeZone))).toEqual(reference(images, rules, timeZone))
    }),
    { numRuns: 1000 },
  )
})
