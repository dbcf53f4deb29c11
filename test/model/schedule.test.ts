import { expect, test } from 'vitest'
import { invalidSentence, parseSchedule, type Schedule } from '../../lib/model/schedule.ts'
import { web1 } from '../support/builders.ts'

const smallest = { cadence: 'daily', schedule: 'web-1', server: web1, retention: 7 }

function parsed(item: Record<string, unknown>): Schedule {
  const result = parseSchedule({ ...smallest, ...item })
  if (!result.valid) throw new Error(invalidSentence(result.invalid))
  return result.schedule
}

function problem(item: Record<string, unknown>): string {
  const result = parseSchedule({ ...smallest, ...item })
  return result.valid ? 'valid' : invalidSentence(result.invalid)
}

test('the smallest item gets every default', () => {
  expect(parsed({})).toEqual({
    cadence: 'daily', name: 'web-1', key: 'daily/web-1', server: { id: web1 }, cloud: 'default', retention: 7, dayOfWeek: undefined,
    at: { hour: 1, minute: 0 }, spread: 60, timeZone: 'UTC', enabled: true, onEnable: 'next', adopts: [],
    imageName: '{cadence}-{server}-{time}', state: {},
  })
})

test.each<[sentence: string, item: Record<string, unknown>, expected: Partial<Schedule>]>([
  ['a number typed as a string', { retention: ' 12 ', spread: '0' }, { retention: 12, spread: 0 }],
  ['a boolean typed as a string', { enabled: 'False' }, { enabled: false }],
  ['a day in any letter case', { cadence: 'weekly', dayOfWeek: 'SATURDAY' }, { dayOfWeek: 'saturday' }],
  ['a UUID in capitals', { server: web1.toUpperCase() }, { server: { id: web1 } }],
  ['a server by its name', { server: 'résumé-ñ-✓' }, { server: { name: 'résumé-ñ-✓' } }],
  ['a list typed as a string set', { adopts: new Set(['weekly/web-1']) }, { adopts: ['weekly/web-1'] }],
  ['a time of day', { at: '23:59' }, { at: { hour: 23, minute: 59 } }],
  ['a state that a person broke counts as none', { state: { since: 'yesterday', next: 7, problem: 'x' } }, { state: { problem: 'x' } }],
])('parseSchedule reads %s', (_sentence, item, expected) => {
  expect(parsed(item)).toMatchObject(expected)
})

test.each<[field: string, item: Record<string, unknown>, sentence: string]>([
  ['server', { server: undefined }, "server is required: a server's UUID, or a name that matches exactly one server."],
  ['server', { server: 7 }, "server must be a server's UUID, or a name that matches exactly one server, not 7."],
  ['retention', { retention: undefined }, 'retention is required: a whole number from 1 to 65535.'],
  ['retention', { retention: 0 }, 'retention must be a whole number from 1 to 65535, not 0.'],
  ['retention', { retention: '65536' }, 'retention must be a whole number from 1 to 65535, not "65536".'],
  ['retention', { retention: 'all' }, 'retention must be a whole number from 1 to 65535, not "all".'],
  ['retention', { retention: 1.5 }, 'retention must be a whole number from 1 to 65535, not 1.5.'],
  ['schedule', { schedule: 'emoji 🎉' }, 'schedule must be 1 to 128 printable characters without emoji or space at either end, since images carry it as a property, not "emoji 🎉".'],
  ['cloud', { cloud: 'a/b' }, 'cloud must be the name of a cloud parameter: letters, digits, "_", "." and "-", not "a/b".'],
  ['at', { at: '24:00' }, 'at must be a local time of day as HH:MM, 00:00 to 23:59, not "24:00".'],
  ['at', { at: '1:00' }, 'at must be a local time of day as HH:MM, 00:00 to 23:59, not "1:00".'],
  ['spread', { spread: 1441 }, 'spread must be a whole number of minutes from 0 to 1440, not 1441.'],
  ['timeZone', { timeZone: 'Europe/Stokholm' }, 'timeZone must be an IANA time zone such as Europe/Stockholm, not "Europe/Stokholm". Did you mean "Europe/Stockholm"?'],
  ['timeZone', { timeZone: '+02:00' }, 'timeZone must be an IANA time zone such as Europe/Stockholm, not "+02:00".'],
  ['dayOfWeek', { cadence: 'weekly' }, 'dayOfWeek is required for weekly: one of sunday, monday, tuesday, wednesday, thursday, friday or saturday.'],
  ['dayOfWeek', { cadence: 'weekly', dayOfWeek: 'satrday' }, 'dayOfWeek must be one of sunday, monday, tuesday, wednesday, thursday, friday or saturday, not "satrday". Did you mean "saturday"?'],
  ['dayOfWeek', { dayOfWeek: 'monday' }, 'dayOfWeek belongs to weekly; remove it, or use the cadence weekly.'],
  ['enabled', { enabled: 'yes' }, 'enabled must be true or false, not "yes".'],
  ['onEnable', { onEnable: 'later' }, 'onEnable must be "next" or "now", not "later".'],
  ['adopts', { adopts: ['web-1'] }, 'adopts must be a list of <cadence>/<schedule> names, not ["web-1"].'],
  ['imageName', { imageName: '{server}' }, 'imageName must be a template of at most 255 characters that holds {time} or {period}, and may hold {cadence}, {server} and {schedule}, not "{server}".'],
])('a malformed %s gets its own sentence: %j', (field, item, sentence) => {
  const result = parseSchedule({ ...smallest, ...item })
  expect(result.valid ? [] : result.invalid.faults).toEqual([{ field, message: sentence }])
})

test('an unknown attribute is refused by name, with the nearest valid one', () => {
  expect(problem({ retension: 7 })).toBe('"retension" is not an attribute that this version knows; did you mean "retention"?')
  expect(problem({ color: 'red' })).toMatch(/^"color" is not an attribute that this version knows; it knows cadence, schedule, server, .* and imageName\.$/)
})

test('all faults of an item are told at once', () => {
  const result = parseSchedule({ ...smallest, retention: 0, at: 'noon', tiemZone: 'UTC' })
  expect(result.valid ? [] : result.invalid.faults.map(({ field }) => field).toSorted()).toEqual(['at', 'retention', 'tiemZone'])
})

test('a long value is cut in the sentence', () => {
  expect(problem({ at: 'x'.repeat(10_000) }).length).toBeLessThan(200)
})
