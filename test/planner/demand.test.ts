import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keepLast } from '../../lib/model/keep.ts'
import { demand, mostKept, turnsPerDay, type Growth } from '../../lib/planner/demand.ts'
import { schedule } from '../support/builders.ts'

const now = new Date('2026-11-21T12:00:00Z')

test.each<[sentence: string, item: Record<string, unknown>, everyDays: number]>([
  ['daily', {}, 1],
  ['weekly', { cadence: 'weekly', dayOfWeek: 'sunday' }, 7],
  ['monthly', { cadence: 'monthly' }, 30.5],
  ['yearly, however near it is', { cadence: 'yearly', dayOfMonth: 22, month: 11 }, 365],
  ['every two hours', { cadence: 'custom', cron: '0 */2 * * *' }, 1 / 12],
  ['every five minutes', { cadence: 'custom', cron: '*/5 * * * *' }, 1 / 288],
])('a schedule that is %s comes so often', (_sentence, item, everyDays) => {
  const days = 1 / turnsPerDay(schedule(item), now)
  expect(days / everyDays).toBeGreaterThan(0.95)
  expect(days / everyDays).toBeLessThan(1.05)
})

test.each<[sentence: string, rules: Partial<ReturnType<typeof keepLast>>, perDay: number, most: number]>([
  ['the newest', { last: 7 }, 1, 7],
  ['rules may keep different ones', { last: 2, daily: 7, weekly: 4, monthly: 12, yearly: 3 }, 1, 28],
  ['all of two weeks, the newest included', { within: { text: 'P14D', years: 0, months: 0, days: 14, hours: 0 } }, 1, 15],
  ['hours count as well', { within: { text: 'P20DT36H', years: 0, months: 0, days: 20, hours: 36 } }, 1, 23],
  ['all of a year, a month and 12 hours, weekly', { within: { text: 'P1Y1MT12H', years: 1, months: 1, days: 0, hours: 12 } }, 1 / 7, 58],
])('how many rules keep at most: %s', (_sentence, rules, perDay, most) => {
  expect(mostKept({ ...keepLast(0), ...rules }, perDay)).toBe(most)
})

const growth = (given: Partial<Growth> = {}): Growth => ({ have: 0, most: 8, perDay: 1, each: 1, ...given })
test.each<[sentence: string, growths: readonly Growth[], room: number, expected: ReturnType<typeof demand>]>([
  ['there is room for all', [growth()], 8, { need: 8, days: undefined }],
  ['one is missing: it lasts until it is wanted', [growth()], 7, { need: 8, days: 7 }],
  ['no room at all', [growth()], 0, { need: 8, days: 0 }],
  ['the quota is exceeded already', [growth()], -2, { need: 8, days: 0 }],
  ['what there is needs nothing more', [growth({ have: 8 })], 0, { need: 0, days: undefined }],
  ['more than are kept are no room', [growth({ have: 10 })], 0, { need: 0, days: undefined }],
  ['two servers use it up in half the time', [growth(), growth()], 7, { need: 16, days: 3 }],
  ['a weekly one takes its time', [growth({ perDay: 1 / 7 })], 2, { need: 8, days: 20 }],
  ['each takes more than one', [growth({ each: 3 })], 8, { need: 24, days: 2 }],
  ['it is years away', [growth({ perDay: 1 / 3000, most: 100 })], 3, { need: 100, days: undefined }],
  ['it is used up by the last day of ten years', [growth({ perDay: 1 / 3000, most: 100 })], 1, { need: 100, days: undefined }],
  ['no schedules', [], 0, { need: 0, days: undefined }],
])('%s', (_sentence, growths, room, expected) => {
  expect(demand(growths, room)).toEqual(expected)
})

test('law: on the last of the days everything still fits, and on the next it does not', () => {
  const growths = fc.array(fc.record({ have: fc.nat(10), most: fc.nat(20), perDay: fc.constantFrom(1, 12, 1 / 7, 1 / 30), each: fc.nat(5) }), { maxLength: 5 })
  fc.assert(
    fc.property(growths, fc.nat(50), (pools, room) => {
      const { days, need } = demand(pools, room)
      const made = (day: number) => pools.reduce((sum, { have, most, perDay, each }) => sum + Math.min(Math.max(0, most - have), Math.floor(perDay * day + 1e-9)) * each, 0)
      if (days === undefined) expect(need <= room || made(3650) <= room).toBe(true)
      else expect([made(days) <= room, made(days + 1) <= room]).toEqual([true, false])
    }),
  )
})
