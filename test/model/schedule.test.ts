import { expect, test } from 'vitest'
import { keepLast } from '../../lib/model/keep.ts'
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
    cadence: 'daily', name: 'web-1', key: 'daily/web-1', server: { id: web1 }, cloud: 'default', maxServers: 1000, keep: keepLast(7),
    dayOfWeek: undefined, dayOfMonth: 1, month: 1, cron: undefined, at: { hour: 1, minute: 0 }, spread: 60, timeZone: 'UTC', enabled: true, onEnable: 'next', adopts: [],
    imageName: '{cadence}-{server}-{time}', consistency: 'live', shareWith: [], state: {},
  })
})

test.each<[sentence: string, item: Record<string, unknown>, expected: Partial<Schedule>]>([
  ['a number typed as a string', { retention: ' 12 ', spread: '0' }, { keep: keepLast(12), spread: 0 }],
  ['a boolean typed as a string', { enabled: 'False' }, { enabled: false }],
  ['a day in any letter case', { cadence: 'weekly', dayOfWeek: 'SATURDAY' }, { dayOfWeek: 'saturday' }],
  ['a UUID in capitals', { server: web1.toUpperCase() }, { server: { id: web1 } }],
  ['a server by its name', { server: 'résumé-ñ-✓' }, { server: { name: 'résumé-ñ-✓' } }],
  ['a list typed as a string set', { adopts: new Set(['weekly/web-1']) }, { adopts: ['weekly/web-1'] }],
  ['a monthly item', { cadence: 'monthly', dayOfMonth: '31' }, { dayOfMonth: 31, at: { hour: 1, minute: 0 } }],
  ['a yearly item', { cadence: 'yearly', dayOfMonth: 29, month: '2' }, { dayOfMonth: 29, month: 2 }],
  ['a custom item, which is not spread unless it says so', { cadence: 'custom', cron: ' 1 6-18/2  * * * ' }, { cron: '1 6-18/2 * * *', spread: 0 }],
  ['keep rules', { retention: undefined, keep: { daily: '7', within: 'p2w1dt6h' } }, { keep: { ...keepLast(0), daily: 7, within: { text: 'P2W1DT6H', years: 0, months: 0, days: 15, hours: 6 } } }],
  [
    'a selector',
    { server: undefined, selector: { tags: new Set(['web']), metadata: { backup: true, tier: 1 }, exclude: { name: 'test-*' } }, maxServers: '50' },
    { server: { selector: { tags: ['web'], metadata: { backup: 'true', tier: '1' }, exclude: { tags: [], metadata: {}, name: 'test-*' } } }, maxServers: 50 },
  ],
  ['a consistency in any letter case', { consistency: 'Stopped' }, { consistency: 'stopped' }],
  ['projects to share with', { shareWith: ['b41cef31000040008000000000000001'] }, { shareWith: ['b41cef31000040008000000000000001'] }],
  ['a time of day', { at: '23:59' }, { at: { hour: 23, minute: 59 } }],
  ['a state that a person broke counts as none', { state: { since: 'yesterday', next: 7, problem: 'x' } }, { state: { problem: 'x' } }],
])('parseSchedule reads %s', (_sentence, item, expected) => {
  expect(parsed(item)).toMatchObject(expected)
})

test.each<[field: string, item: Record<string, unknown>, sentence: string]>([
  ['server', { server: undefined }, "server is required, or a selector: a server's UUID, or a name that matches exactly one server."],
  ['server', { server: 7 }, "server must be a server's UUID, or a name that matches exactly one server, not 7."],
  ['retention', { retention: undefined }, 'retention is required, or keep: a whole number from 1 to 65535.'],
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
  ['dayOfMonth', { dayOfMonth: 1 }, 'dayOfMonth belongs to monthly and yearly; remove it, or use the cadence monthly or yearly.'],
  ['dayOfMonth', { cadence: 'monthly', dayOfMonth: 32 }, 'dayOfMonth must be a whole number from 1 to 31 (a shorter month runs on its last day), not 32.'],
  ['month', { cadence: 'yearly', month: 'May' }, 'month must be a whole number from 1 to 12, not "May".'],
  ['cron', { cadence: 'custom' }, 'cron is required for custom: five cron fields (minute, hour, day of month, month, day of week) of a time that comes, such as "1 6-18/2 * * *".'],
  ['cron', { cron: '0 1 * * *' }, 'cron belongs to custom; remove it, or use the cadence custom.'],
  ...['0 1 * *', '0 0 1 * * *', '61 * * * *', '@daily', '0 0 31 2 *'].map((cron): [string, Record<string, unknown>, string] => [
    'cron', { cadence: 'custom', cron }, `cron must be five cron fields (minute, hour, day of month, month, day of week) of a time that comes, such as "1 6-18/2 * * *", not "${cron}".`,
  ]),
  ['at', { cadence: 'custom', cron: '0 1 * * *', at: '01:00' }, 'at belongs to daily, weekly, monthly and yearly; remove it, since its cron says when.'],
  ['selector', { selector: { name: 'web-*' } }, 'selector and server contradict each other; remove one of them.'],
  ['selector', { server: undefined, selector: {} }, 'selector must be a map with at least one of tags, metadata and name, and perhaps exclude (name "*" matches every server), not {}.'],
  ['selector', { server: undefined, selector: 'web-*' }, 'selector must be a map with at least one of tags, metadata and name, and perhaps exclude (name "*" matches every server), not "web-*".'],
  ['selector.tag', { server: undefined, selector: { tag: ['web'], name: '*' } }, '"selector.tag" is not an option that this version knows; did you mean "selector.tags"?'],
  ['selector.tags', { server: undefined, selector: { tags: 'web' } }, 'selector.tags must be a list of server tags, not "web".'],
  ['selector.exclude.name', { server: undefined, selector: { name: '*', exclude: { name: 7 } } }, 'selector.exclude.name must be a server\'s name of at most 255 characters, in which "*" stands for any characters and "?" for one, not 7.'],
  ['maxServers', { maxServers: 10 }, 'maxServers belongs to a selector; remove it.'],
  ['keep', { keep: { last: 3 } }, 'keep and retention contradict each other; remove one of them ("last" of keep is what retention is).'],
  ['keep', { retention: undefined, keep: {} }, 'keep must be a map of last, daily, weekly, monthly, yearly (0 to 65535) and within (a duration), of which at least one keeps something, not {}.'],
  ['keep', { retention: undefined, keep: { daily: 0 } }, 'keep must be a map of last, daily, weekly, monthly, yearly (0 to 65535) and within (a duration), of which at least one keeps something, not {"daily":0}.'],
  ['keep.dayly', { retention: undefined, keep: { dayly: 7, last: 1 } }, '"keep.dayly" is not an option that this version knows; did you mean "keep.daily"?'],
  ['keep.weekly', { retention: undefined, keep: { weekly: -1 } }, 'keep.weekly must be a whole number from 0 to 65535, not -1.'],
  ...['14 days', 'P', 'P0D', 'PT30M', 'P1.5D', '-P1D'].map((within): [string, Record<string, unknown>, string] => [
    'keep.within', { retention: undefined, keep: { within } }, `keep.within must be a duration of years, months, weeks, days or hours in ISO 8601, such as P14D, not "${within}".`,
  ]),
  ['consistency', { consistency: 'frozen' }, 'consistency must be one of live, quiesced or stopped, not "frozen".'],
  ['shareWith', { shareWith: ['not a project'] }, 'shareWith must be a list of at most 100 project ids, not ["not a project"].'],
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
  expect(problem({ color: 'red' })).toMatch(/^"color" is not an attribute that this version knows; it knows cadence, schedule, server, .* and shareWith\.$/)
})

test('all faults of an item are told at once', () => {
  const result = parseSchedule({ ...smallest, retention: 0, at: 'noon', tiemZone: 'UTC' })
  expect(result.valid ? [] : result.invalid.faults.map(({ field }) => field).toSorted()).toEqual(['at', 'retention', 'tiemZone'])
})

test('a long value is cut in the sentence', () => {
  expect(problem({ at: 'x'.repeat(10_000) }).length).toBeLessThan(200)
})
