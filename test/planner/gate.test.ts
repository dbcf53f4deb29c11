import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import { calendarRules, durationSchema, keepLast, type KeepRules } from '../../lib/model/keep.ts'
import type { Deletion } from '../../lib/model/run.ts'
import type { Schedule } from '../../lib/model/schedule.ts'
import { brokenLaws, leftoverObjection, type Evidence } from '../../lib/planner/gate.ts'
import { planRetention, type Removed, type RetentionPlan } from '../../lib/planner/retention.ts'
import { id, image, mapping, project, schedule, sealed, web1, web2 } from '../support/builders.ts'

const day = (n: number) => new Date(Date.UTC(2026, 10, n, 1))
/** The image of a day is numbered by it, and its volume snapshot by a hundred more. */
const ofDay = (n: number, attributes: Partial<Image> = {}) => sealed({ id: id(n), createdAt: day(n), ...attributes })
const marked = (one: Image, properties: Record<string, string>): Image => ({ ...one, properties: { ...one.properties, ...properties } })

interface Case {
  plans: readonly RetentionPlan[]
  evidence: Evidence
}

const removal = (image: Image, snapshots: readonly string[] = []): Removed => ({ image, reason: '2 newer good images are kept', snapshots })
const plan = (remove: readonly Removed[], attributes: Partial<RetentionPlan> = {}): RetentionPlan =>
  ({ cloud: 'default', server: web1, schedule: 'daily/web-1', rules: keepLast(2), keep: [], remove, ...attributes })

/** Four good images, of which the schedule keeps two; what is given differs. */
function evidence(attributes: Partial<Evidence> = {}): Evidence {
  const schedules = attributes.schedules ?? [schedule({ retention: 2 })]
  return { project, images: [1, 2, 3, 4].map((n) => ofDay(n)), schedules, existing: new Set(schedules.map(({ key }) => key)), statuses: undefined, ...attributes }
}

/** The plan that deletes the first of these images, which stands before newer ones that are good. */
function deleting(doomed: Image, attributes: Partial<Evidence> = {}, snapshots: readonly string[] = []): Case {
  const images = [doomed, ...[2, 3, 4].map((n) => ofDay(n))]
  return { plans: [plan([removal(doomed, snapshots)])], evidence: evidence({ images, ...attributes }) }
}

const backed = (n: number, ...snapshots: readonly number[]) => ofDay(n, { size: 0, properties: mapping(...snapshots.map((one) => id(one))) })
const statuses = (...pairs: [number, string][]) => new Map(pairs.map(([n, status]) => [id(n), status]))
const weekly = (n: number) => marked(ofDay(n), { [marks.schedule]: 'weekly/old' })
const adopter = (name = 'web-1', item: Record<string, unknown> = {}) => schedule({ schedule: name, retention: 2, adopts: ['weekly/old'], ...item })
const byName = (state: Record<string, unknown> = {}) => adopter('web-1', { server: 'web-1', state })
const bySelector = (name = 'web-1', item: Record<string, unknown> = {}) => adopter(name, { server: undefined, selector: { name: '*' }, ...item })
const mapped = (devices: unknown, attributes: Partial<Image> = {}) => ofDay(1, { properties: { block_device_mapping: JSON.stringify(devices) }, ...attributes })

/** The plan that deletes the images of some days by rules, while those of others stay. A day may have a fraction, from 01:00 UTC on. */
function ruled({ within, ...counts }: Partial<Omit<KeepRules, 'within'>> & { readonly within?: string }, doomed: readonly number[], staying: readonly number[], timeZone = 'UTC'): Case {
  const keep: KeepRules = { ...keepLast(0), ...counts, within: within === undefined ? undefined : durationSchema.parse(within) }
  const images = [...doomed, ...staying].map(atDay)
  return { plans: [plan(doomed.map((n) => removal(atDay(n))))], evidence: evidence({ images, schedules: [{ ...schedule({ timeZone }), keep }] }) }
}
const numbered = (n: number) => Math.round((n + 2000) * 1000)
const atDay = (n: number) => sealed({ id: id(numbered(n)), createdAt: new Date(Date.UTC(2026, 10, 1, 1) + (n - 1) * 86_400_000) })
const ofRules = (n: number, what: string) => sentence(what, numbered(n))
const noneOf = (unit: string, count: number) => `has no newer good image of its ${unit} that stays, and fewer than ${count} newer ${unit}s have one`
const theOldest = (unit: string, count: number) => `is the oldest good image, and fewer than ${count} newer ${unit}s have one that stays`

const sentence = (what: string, n = 1, of = { server: web1, schedule: 'daily/web-1' }) => `Image ${id(n)} of server ${of.server} and schedule ${of.schedule} ${what}.`
const notOurs = sentence('is not provably ours')
const notGood = sentence('is not known to be good')
const tooFew = sentence('has fewer than 2 newer good images that stay')
const ofAnotherSchedule = sentence('is of a schedule that this one does not stand for')

describe('a plan passes that deletes', () => {
  test.each<[sentence: string, given: Case]>([
    ['nothing', { plans: [plan([])], evidence: evidence() }],
    ['nothing, of a schedule that is not there', { plans: [plan([], { schedule: 'daily/gone' })], evidence: evidence() }],
    ['a good image with as many newer good ones as are to be kept', { plans: [plan([removal(ofDay(2))])], evidence: evidence() }],
    ['all that are beyond retention, oldest first', { plans: [plan([removal(ofDay(1)), removal(ofDay(2))])], evidence: evidence() }],
    ['a volume-backed image with its volume snapshots', deleting(backed(1, 101, 102), { statuses: statuses([101, 'available'], [102, 'available']) }, [id(101), id(102)])],
    ['a volume-backed image without a volume snapshot that another image names', {
      plans: [plan([removal(backed(1, 101))])],
      evidence: evidence({ images: [backed(1, 101), backed(3, 101), ofDay(4)], statuses: statuses([101, 'available']) }),
    }],
    ['an image whose mapping has devices without data', deleting(mapped([{ source_type: 'blank' }, { snapshot_id: null }]))],
    ['an image whose mapping is empty', deleting(mapped([]))],
    ['images of one second, by their ids', { plans: [plan([removal(ofDay(1, { createdAt: day(9) })), removal(ofDay(2, { createdAt: day(9) }))])], evidence: evidence({ images: [1, 2, 3, 4].map((n) => ofDay(n, { createdAt: day(9) })) }) }],
    ['images of two servers of two schedules', {
      plans: [plan([removal(ofDay(1))]), plan([removal(marked(ofDay(5), { [marks.server]: web2, [marks.schedule]: 'daily/web-2' }))], { server: web2, schedule: 'daily/web-2', rules: keepLast(1) })],
      evidence: evidence({
        images: [...[1, 2, 3].map((n) => ofDay(n)), ...[5, 6].map((n) => marked(ofDay(n), { [marks.server]: web2, [marks.schedule]: 'daily/web-2' }))],
        schedules: [schedule({ retention: 2 }), schedule({ schedule: 'web-2', server: web2, retention: 1 })],
      }),
    }],
    ['by a rule of days: what is beyond them', ruled({ daily: 2 }, [1, 2], [3, 4])],
    ['by a rule of days: all of a day but the newest', ruled({ daily: 9 }, [2.2, 2.4], [1, 2.6, 3])],
    ['by a rule of weeks: what is beyond them, and all of a week but the newest', ruled({ weekly: 2 }, [1, 2, 3], [8, 9])],
    ['by a rule of months: the oldest, once there are as many newer months', ruled({ monthly: 2 }, [-40, -39], [-1, 1])],
    ['by a rule of years: all of a year but the newest and the oldest', ruled({ yearly: 3 }, [2, 3], [-400, 4])],
    ['by a duration: what is clearly older', ruled({ within: 'P3D' }, [1], [4])],
    ['by a duration: what is older by as much as clocks may have changed', ruled({ within: 'P2D' }, [1], [1 + 23 / 24])],
    ['by a duration: what is a short month older, but for a change of the clocks', ruled({ within: 'P1M' }, [1], [29 - 25 / 24])],
    ['by a duration: what is a short year and more older, but for a change of the clocks', ruled({ within: 'P1Y1M1DT1H' }, [1], [1 + 365 + 28 + 1 - 1])],
    ['by a duration of hours: all but the newest', ruled({ within: 'PT24H' }, [1.5], [1.6])],
    ['by several rules: what none of them keeps', ruled({ last: 2, daily: 2, weekly: 2, monthly: 2, within: 'P2D' }, [-2, 2], [0, 1, 3, 4])],
    ['by a rule of days: all of a day of the zone but the newest', ruled({ daily: 9 }, [2.78], [1, 3.7], 'Asia/Kathmandu')],
    ['an image of a former schedule that this one adopts', deleting(weekly(1), { schedules: [adopter()] })],
    ['an image of a former schedule that this one adopts for the server that its name meant', deleting(weekly(1), { schedules: [byName({ lastRun: { time: '2026-11-20T01:00:00Z', period: '2026-11-20', server: web1 } })] })],
    ['an image of a former schedule that this one adopts for every server that it selects', deleting(weekly(1), { schedules: [bySelector()] })],
    ['an image of a former schedule that this one adopts for a server that it never ran for', deleting(weekly(1), { schedules: [bySelector('web-1', { state: { lastRun: { time: '2026-11-20T01:00:00Z', period: '2026-11-20', server: web2 } } })] })],
    ['an image of a former schedule that one with a selector adopts, and another one for another server', deleting(weekly(1), { schedules: [bySelector(), adopter('web-2', { server: web2 })] })],
    ['an image of a former schedule that is named twice by the one that adopts it', deleting(weekly(1), { schedules: [adopter('web-1', { adopts: ['weekly/old', 'weekly/old'] })] })],
    ['an image of a former schedule that another one adopts for another server', deleting(weekly(1), { schedules: [adopter(), adopter('web-2', { server: web2 })] })],
  ])('%s', (_sentence, given) => {
    expect(brokenLaws(given.plans, given.evidence)).toEqual([])
  })
})

describe('a plan is refused that deletes', () => {
  test.each<[sentence: string, given: Case, broken: readonly string[]]>([
    ['an image of another project', deleting(ofDay(1, { owner: 'somebody-else' })), [notOurs]],
    ['an image without our mark', deleting(marked(ofDay(1), { [marks.createdBy]: '' })), [notOurs]],
    ['an image with our mark in another letter case', deleting(marked(ofDay(1), { [marks.createdBy]: 'Scheduled_Images_Service' })), [notOurs]],
    ['an image that is not sealed', deleting(image({ id: id(1), createdAt: day(1) })), [notOurs]],
    ["an image that has inherited another's seal", deleting({ ...ofDay(9), id: id(1), createdAt: day(1) }), [notOurs]],
    ['an image that names no server', deleting(marked(ofDay(1), { [marks.server]: '' })), [notOurs, sentence('is of another server')]],
    ['an image of another server', deleting(marked(ofDay(1), { [marks.server]: web2 })), [sentence('is of another server')]],
    ['an image that is protected', deleting(ofDay(1, { protected: true })), [sentence('is protected')]],
    ['an image that is hidden', deleting(ofDay(1, { hidden: true })), [sentence('is hidden')]],
    ['an image that was not listed', { plans: [plan([removal(ofDay(9)), removal(ofDay(1))])], evidence: evidence() }, [sentence('was not listed', 9)]],
    ['an image that looks different in the listing', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1, { protected: true }), ...[2, 3, 4].map((n) => ofDay(n))] }) }, [sentence('is protected')]],
    ['an image of another schedule that exists', deleting(marked(ofDay(1), { [marks.schedule]: 'weekly/web-1' }), { schedules: [schedule({ retention: 2 }), schedule({ cadence: 'weekly', dayOfWeek: 'sunday' })] }), [ofAnotherSchedule]],
    ['an image of a former schedule that none adopts', deleting(weekly(1)), [ofAnotherSchedule]],
    ['an image that names no schedule', deleting(marked(ofDay(1), { [marks.schedule]: '' })), [ofAnotherSchedule]],
    ['an image of a schedule that exists, though this one adopts it', deleting(weekly(1), { schedules: [adopter()], existing: new Set(['daily/web-1', 'weekly/old']) }), [ofAnotherSchedule]],
    ['an image that two schedules adopt for one server', deleting(weekly(1), { schedules: [adopter(), adopter('web-1-again')] }), [ofAnotherSchedule]],
    ['an image that only another schedule adopts', deleting(weekly(1), { schedules: [schedule({ retention: 2 }), adopter('web-1-again')] }), [ofAnotherSchedule]],
    ['an image that the schedule adopts, of a server that is not its own', deleting(weekly(1), { schedules: [adopter('web-1', { server: web2 })] }), [ofAnotherSchedule]],
    ['an image that is adopted by a name of which it is not known whom it means', deleting(weekly(1), { schedules: [byName()] }), [ofAnotherSchedule]],
    ['an image that one schedule adopts for its server, and another one for every server', deleting(weekly(1), { schedules: [adopter(), bySelector('all')] }), [ofAnotherSchedule]],
    ['an image that is adopted for every server, but for this one by another schedule too', deleting(weekly(1), { schedules: [bySelector(), adopter('other')] }), [ofAnotherSchedule]],
    ['an image that two schedules adopt for every server', deleting(weekly(1), { schedules: [bySelector(), bySelector('all')] }), [ofAnotherSchedule]],
    ['an image of a schedule that exists, though one with a selector adopts it', deleting(weekly(1), { schedules: [bySelector()], existing: new Set(['daily/web-1', 'weekly/old']) }), [ofAnotherSchedule]],
    ['images of a schedule that is disabled or invalid', deleting(ofDay(1), { schedules: [], existing: new Set(['daily/web-1']) }), ['Schedule daily/web-1, whose images are to be deleted, does not exist, or is disabled or invalid.']],
    ['images of a schedule that does not exist', { plans: [plan([removal(ofDay(1))], { schedule: 'daily/gone' })], evidence: evidence() }, ['Schedule daily/gone, whose images are to be deleted, does not exist, or is disabled or invalid.']],
    ['an image that is not active', deleting(ofDay(1, { status: 'deactivated' })), [notGood]],
    ['an image that is empty', deleting(ofDay(1, { size: 0 })), [notGood]],
    ['an image without data', deleting(ofDay(1, { size: null })), [notGood]],
    ['an image whose volume snapshot is broken', deleting(backed(1, 101), { statuses: statuses([101, 'error']) }), [notGood]],
    ['an image one of whose volume snapshots is being made', deleting(backed(1, 101, 102), { statuses: statuses([101, 'available'], [102, 'creating']) }), [notGood]],
    ['an image whose volume snapshot is gone', deleting(backed(1, 101), { statuses: statuses() }), [notGood]],
    ['an image whose volume snapshots are not known', deleting(backed(1, 101)), [notGood]],
    ['an image that needs a volume which is no snapshot', deleting(mapped([{ source_type: 'volume', volume_id: id(5) }])), [notGood]],
    ['an image that needs a snapshot which is not named', deleting(mapped([{ source_type: 'snapshot' }])), [notGood]],
    ['an image whose mapping is no JSON', deleting(ofDay(1, { properties: { block_device_mapping: '[' } })), [notGood]],
    ['an image whose mapping is no list', deleting(mapped({ snapshot_id: id(101) })), [notGood]],
    ['an image whose mapping lists what is no device', deleting(mapped([null])), [notGood]],
    ['an image whose mapping lists what is no device beside one', deleting(mapped([{ snapshot_id: id(101) }, null]), { statuses: statuses([101, 'available']) }), [notGood]],
    ['an image whose mapping lists texts', deleting(mapped([id(101)])), [notGood]],
    ['an image with fewer newer good ones than are to be kept', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [1, 2].map((n) => ofDay(n)) }) }, [tooFew]],
    ['the only image', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1)] }) }, [tooFew]],
    ['the newest image', { plans: [plan([removal(ofDay(4))])], evidence: evidence() }, [sentence('has fewer than 2 newer good images that stay', 4)]],
    ['every image', { plans: [plan([1, 2, 3, 4].map((n) => removal(ofDay(n))))], evidence: evidence() }, [1, 2, 3, 4].map((n) => sentence('has fewer than 2 newer good images that stay', n))],
    ['a newer image and keeps an older one in its stead', { plans: [plan([removal(ofDay(1)), removal(ofDay(3))])], evidence: evidence() }, [sentence('has fewer than 2 newer good images that stay', 3)]],
    ['one of two images of one second, and keeps the one that is older by its id', {
      plans: [plan([removal(ofDay(2))])], evidence: evidence({ images: [1, 2, 3].map((n) => ofDay(n, { createdAt: day(9) })) }),
    }, [sentence('has fewer than 2 newer good images that stay', 2)]],
    ['by a rule of days: the newest of a day that counts', ruled({ daily: 2 }, [1, 3], [2, 4]), [ofRules(3, noneOf('day', 2))]],
    ['by a rule of days: every image of a day that counts', ruled({ daily: 3 }, [2.2, 2.6], [1, 3]), [2.2, 2.6].map((n) => ofRules(n, noneOf('day', 3)))],
    ['by a rule of days: an image whose newer one is of the next day in the zone', ruled({ daily: 9 }, [2.7], [1, 2.75], 'Asia/Kathmandu'), [ofRules(2.7, noneOf('day', 9))]],
    ['by a rule of weeks: a Sunday before a Monday', ruled({ weekly: 2 }, [1], [-9, 2]), [ofRules(1, noneOf('week', 2))]],
    ['by a rule of months: the newest of a month that counts', ruled({ monthly: 2 }, [-1], [-40, 1]), [ofRules(-1, noneOf('month', 2))]],
    ['by a rule of months: the newest of the same month of another year', ruled({ monthly: 2 }, [-364], [-400, 1]), [ofRules(-364, noneOf('month', 2))]],
    ['by a rule of years: the newest of a year that counts', ruled({ yearly: 2 }, [-307], [-1000, 1]), [ofRules(-307, noneOf('year', 2))]],
    ['by a rule of months: the oldest, while there are fewer newer months', ruled({ monthly: 2 }, [1, 2], [3]), [ofRules(1, theOldest('month', 2))]],
    ['by two rules: the oldest, while one of them has counts left', ruled({ daily: 1, yearly: 2 }, [1, 2], [3]), [ofRules(1, theOldest('year', 2))]],
    ['by a duration: what is no such duration older', ruled({ within: 'P2D' }, [1], [1 + 22.9 / 24]), [ofRules(1, 'is not P2D older than the newest good image that stays')]],
    ['by a duration: what is not even a short month older', ruled({ within: 'P1M' }, [1], [29 - 25.1 / 24]), [ofRules(1, 'is not P1M older than the newest good image that stays')]],
    ['by a duration: what is not as old as its parts together', ruled({ within: 'P1Y1M1DT1H' }, [1], [1 + 365 + 28 + 1 - 1 - 0.1]), [ofRules(1, 'is not P1Y1M1DT1H older than the newest good image that stays')]],
    ['by a duration: the newest image', ruled({ within: 'PT1H' }, [2], [1]), [ofRules(2, 'has fewer than 1 newer good images that stay')]],
    ['by a rule of days: the newest image', ruled({ daily: 1 }, [2], [1]), [ofRules(2, 'has fewer than 1 newer good images that stay'), ofRules(2, noneOf('day', 1))]],
    ['by a duration: every image', ruled({ within: 'PT1H' }, [1], []), [ofRules(1, 'has fewer than 1 newer good images that stay')]],
    ['by several rules: what each of them keeps', ruled({ last: 2, daily: 2, weekly: 2, monthly: 2, yearly: 2, within: 'P9D' }, [1], [2]), [
      ofRules(1, 'has fewer than 2 newer good images that stay'), ofRules(1, noneOf('day', 2)), ofRules(1, noneOf('week', 2)), ofRules(1, theOldest('month', 2)), ofRules(1, theOldest('year', 2)),
      ofRules(1, 'is not P9D older than the newest good image that stays'),
    ]],
    ['by no rule at all', ruled({}, [1, 2], [3, 4]), [1, 2].map((n) => ofRules(n, 'is of a schedule without a rule that says what to keep'))],
    ['an image that is listed twice with the newer one', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2), ofDay(2)] }) }, [tooFew]],
    ['an image whose newer ones are not good', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2), ofDay(3, { size: 0 }), ofDay(4, { status: 'saving' })] }) }, [tooFew]],
    ['an image whose newer ones are protected, and so not counted', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2), ofDay(3, { protected: true })] }) }, [tooFew]],
    ['an image whose newer ones are not ours', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2), image({ id: id(3), createdAt: day(3) })] }) }, [tooFew]],
    ['an image whose newer ones are of another server', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2), marked(ofDay(3), { [marks.server]: web2 })] }) }, [tooFew]],
    ['an image whose newer ones are of another schedule', { plans: [plan([removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2), weekly(3)] }) }, [tooFew]],
    ['an image whose newer one is deleted by another plan', {
      plans: [plan([removal(ofDay(1))]), plan([removal(weekly(4))], { schedule: 'daily/adopter' })],
      evidence: evidence({ images: [ofDay(1), ofDay(2), ofDay(3), weekly(4)], schedules: [schedule({ retention: 3 }), adopter('adopter')] }),
    }, [sentence('has fewer than 3 newer good images that stay'), sentence('has fewer than 2 newer good images that stay', 4, { server: web1, schedule: 'daily/adopter' })]],
    ['by a retention of its own, smaller than the schedule says', { plans: [plan([removal(ofDay(3))], { rules: keepLast(1) })], evidence: evidence() }, [sentence('has fewer than 2 newer good images that stay', 3)]],
    ['an image twice', { plans: [plan([removal(ofDay(1)), removal(ofDay(1))])], evidence: evidence() }, [`Image ${id(1)} is to be deleted twice.`, sentence('is not to be deleted oldest first')]],
    ['an image in two plans', { plans: [plan([removal(ofDay(1))]), plan([removal(ofDay(1))])], evidence: evidence() }, [`Image ${id(1)} is to be deleted twice.`]],
    ['the newer one first', { plans: [plan([removal(ofDay(2)), removal(ofDay(1))])], evidence: evidence() }, [sentence('is not to be deleted oldest first')]],
    ['of one second, the newer one first', { plans: [plan([removal(ofDay(2, { createdAt: day(1) })), removal(ofDay(1))])], evidence: evidence({ images: [ofDay(1), ofDay(2, { createdAt: day(1) }), ofDay(3), ofDay(4)] }) }, [sentence('is not to be deleted oldest first')]],
    ['a volume snapshot with an image that does not name it', deleting(backed(1, 101), { statuses: statuses([101, 'available'], [102, 'available']) }, [id(101), id(102)]), [sentence(`does not name the volume snapshot ${id(102)} that is to go with it`)]],
    ['a volume snapshot that only another image names', {
      plans: [plan([removal(ofDay(1), [id(104)])])], evidence: evidence({ images: [ofDay(1), ofDay(2), ofDay(3), backed(4, 104)], statuses: statuses([104, 'available']) }),
    }, [sentence(`does not name the volume snapshot ${id(104)} that is to go with it`)]],
    ["a volume snapshot that another image names as well, a person's for one", {
      plans: [plan([removal(backed(1, 101), [id(101)])])],
      evidence: evidence({ images: [backed(1, 101), ofDay(2), ofDay(3), image({ id: id(4), properties: { ...mapping(id(101)), [marks.createdBy]: '' } })], statuses: statuses([101, 'available']) }),
    }, [sentence(`shares the volume snapshot ${id(101)} with another image`)]],
  ])('%s', (_sentence, given, broken) => {
    expect(brokenLaws(given.plans, given.evidence)).toEqual(broken)
  })
})

test('a volume snapshot that an image without our marks names too stays', () => {
  const doomed = backed(1, 101)
  const given = evidence({ images: [doomed, ofDay(2), ofDay(3)], statuses: statuses([101, 'available']) })
  const { plans } = deleting(doomed, { statuses: statuses([101, 'available']) }, [id(101)])
  const copy = image({ id: id(60), properties: { [marks.createdBy]: '', ...mapping(id(101)) } })
  expect(brokenLaws(plans, given, [copy])).toEqual([sentence(`shares the volume snapshot ${id(101)} with another image`)])
  expect(brokenLaws(plans, given, [doomed, ofDay(2)])).toEqual([])
})

test('a volume snapshot that one image names twice is its own', () => {
  const twice = backed(1, 101, 101)
  expect(brokenLaws(deleting(twice, { statuses: statuses([101, 'available']) }, [id(101)]).plans, evidence({ images: [twice, ofDay(2), ofDay(3)], statuses: statuses([101, 'available']) }))).toEqual([])
})

const mostly = <Value>(usual: Value, ...others: Value[]) => fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })

/** What the gate lets pass at least of each duration, in hours: 25 less than it is when years and months are short. */
const durations = { P2D: 2 * 24 - 25, P1M: 28 * 24 - 25, PT30H: 30 - 25 }
const anyCount = (max: number) => fc.oneof(fc.constant(0), fc.integer({ min: 1, max }))
const anyRules = fc.oneof(
  fc.integer({ min: 1, max: 4 }).map(keepLast),
  fc
    .record({
      last: anyCount(3), daily: anyCount(4), weekly: anyCount(3), monthly: anyCount(3), yearly: anyCount(2),
      within: fc.constantFrom(undefined, undefined, ...Object.keys(durations)),
    })
    .filter(({ within, ...counts }) => within !== undefined || Object.values(counts).some((count) => count > 0))
    .map(({ within, ...counts }): KeepRules => ({ ...counts, within: within === undefined ? undefined : durationSchema.parse(within) })),
)

/** A cloud with two servers, three schedules of which one adopts a fourth that is gone, perhaps by a selector, and images of all sorts. */
const anyWorld = fc
  .record({
    rules: fc.tuple(anyRules, anyRules, anyRules),
    timeZone: fc.constantFrom('UTC', 'Europe/Stockholm', 'America/Havana', 'Pacific/Kiritimati', 'Pacific/Pago_Pago'),
    adopting: fc.constantFrom({ server: web1 }, { server: undefined, selector: { name: '*' } }),
    drawn: fc.array(
      fc.record({
        createdAt: fc
          .record({ month: fc.constantFrom(10, 10, 10, 9, 8, -3), day: fc.integer({ min: 1, max: 9 }), hour: fc.constantFrom(1, 1, 1, 6, 12, 23) })
          .map(({ month, day, hour }) => new Date(Date.UTC(2026, month, day, hour))),
        server: fc.constantFrom(web1, web1, web2),
        of: fc.constantFrom('daily/web-1', 'daily/web-1', 'daily/web-2', 'daily/adopter', 'weekly/old', 'weekly/nobodys'),
        owner: mostly(project, 'somebody-else'),
        status: mostly('active', 'queued', 'deactivated'),
        protected: mostly(false, true),
        size: mostly(16_384, 0),
        snapshots: mostly<number[]>([], [101], [102], [103, 104]),
        sealed: mostly(true, false),
      }),
      { minLength: 8, maxLength: 30, size: 'max' },
    ),
    known: fc.constantFrom<ReadonlyMap<string, string> | undefined>(undefined, statuses([101, 'available'], [102, 'available'], [103, 'available'], [104, 'creating']), statuses([101, 'error'], [103, 'available'], [104, 'available'])),
  })
  .map(({ rules, timeZone, adopting, drawn, known }): Evidence => {
    const schedules: Schedule[] = [
      { ...schedule({ timeZone }), keep: rules[0] },
      { ...schedule({ schedule: 'web-2', server: web2 }), keep: rules[1] },
      { ...schedule({ schedule: 'adopter', ...adopting, adopts: ['weekly/old'], timeZone }), keep: rules[2] },
    ]
    const images = drawn.map(({ server, of, snapshots, sealed: mine, ...attributes }, n) =>
      (mine ? sealed : image)({
        ...attributes, id: id(n + 1),
        properties: { [marks.server]: server, [marks.schedule]: of, ...(snapshots.length > 0 && mapping(...snapshots.map((one) => id(one)))) },
      }))
    return { project, images, schedules, existing: new Set(schedules.map(({ key }) => key)), statuses: known }
  })

const honest = ({ images, schedules, existing, project, statuses }: Evidence) => planRetention(images, schedules, existing, project, statuses)

test('every plan that the planner makes of any world passes', () => {
  let deletions = 0
  fc.assert(
    fc.property(anyWorld, (world) => {
      const plans = honest(world)
      deletions += plans.flatMap(({ remove }) => remove).length
      expect(brokenLaws(plans, world)).toEqual([])
    }),
    { numRuns: 500 },
  )
  expect(deletions).toBeGreaterThan(300)
})

test('no plan passes that deletes one more image than the planner would, or by another schedule, or one that was changed since', () => {
  let tried = 0
  fc.assert(
    fc.property(anyWorld, fc.nat(), fc.nat(), fc.constantFrom(...Object.values(corruptions)), (world, which, where, corrupt) => {
      const plans = honest(world)
      const corrupted = corrupt({ plans, evidence: world }, which, where)
      if (!corrupted) return
      tried += 1
      expect(brokenLaws(corrupted.plans, corrupted.evidence)).not.toEqual([])
    }),
    { numRuns: 1000 },
  )
  expect(tried).toBeGreaterThan(300)
})

type Corruption = (given: Case, which: number, where: number) => Case | undefined

const pick = <Item>(items: readonly Item[], n: number): Item | undefined => items[n % items.length]

function replaced({ plans, evidence }: Case, plan: RetentionPlan, remove: readonly Removed[]): Case {
  return { plans: plans.map((one) => (one === plan ? { ...one, remove } : one)), evidence }
}

/** The gate knows no calendar for durations: what only one of them keeps, just before its end, it could not miss. */
function isInLeeway(victim: Image, { keep }: RetentionPlan): boolean {
  const newest = keep.find(({ reason }) => !reason.includes('not counted'))?.image
  const reason = keep.find(({ image }) => image === victim)?.reason
  const hours = Object.entries(durations).find(([text]) => reason === `within ${text} of the newest`)?.[1]
  return newest !== undefined && hours !== undefined && newest.createdAt.getTime() - victim.createdAt.getTime() >= hours * 3_600_000
}

/** What a mistake in the planner could do to a plan. Undefined where the world does not offer it. */
const corruptions: Record<string, Corruption> = {
  'one image more, of any kind': (given, which, where) => {
    const doomed = new Set(given.plans.flatMap(({ remove }) => remove.map(({ image }) => image.id)))
    const victim = pick(given.evidence.images.filter(({ id }) => !doomed.has(id)), which)
    const target = pick(given.plans, where)
    if (victim && target && isInLeeway(victim, target)) return undefined
    return victim && target && replaced(given, target, [...target.remove, removal(victim)].toSorted((a, b) => a.image.createdAt.getTime() - b.image.createdAt.getTime()))
  },
  'what a schedule would delete that asked for less': ({ plans, evidence }, which, where) => {
    const rule = pick(['last', ...calendarRules] as const, which)!
    const schedules = evidence.schedules.map((one): Schedule => ({ ...one, keep: { ...one.keep, [rule]: where % 2 === 0 ? 0 : Math.max(0, one.keep[rule] - 1) } }))
    const corrupted = honest({ ...evidence, schedules })
    const count = (plans: readonly RetentionPlan[]) => plans.flatMap(({ remove }) => remove).length
    return count(corrupted) > count(plans) ? { plans: corrupted, evidence } : undefined
  },
  'an image in the plan of another server or schedule': (given, which, where) => {
    const source = pick(given.plans.filter(({ remove }) => remove.length > 0), which)
    const target = pick(given.plans.filter((one) => one !== source), where)
    if (!source || !target) return undefined
    const moved = source.remove[0]!
    return replaced(replaced(given, source, source.remove.slice(1)), target, [moved, ...target.remove])
  },
  'the newest first': (given, which) => {
    const target = pick(given.plans.filter(({ remove }) => remove.length > 1), which)
    return target && replaced(given, target, target.remove.toReversed())
  },
  'the volume snapshot of another image': (given, which) => {
    const target = pick(given.plans.filter(({ remove }) => remove.length > 0), which)
    const [first, ...rest] = target?.remove ?? []
    const foreign = [101, 102, 103, 104].map((n) => id(n)).find((one) => first && !first.image.properties['block_device_mapping']?.includes(one))
    return target && first && foreign ? replaced(given, target, [{ ...first, snapshots: [...first.snapshots, foreign] }, ...rest]) : undefined
  },
  'an image that changed after it was planned': (given, which, where) => {
    const victim = pick(given.plans.flatMap(({ remove }) => remove), which)?.image
    const change = pick<Partial<Image>>([{ protected: true }, { status: 'deactivated' }, { owner: 'somebody-else' }], where)
    if (!victim) return undefined
    return { ...given, evidence: { ...given.evidence, images: given.evidence.images.map((one) => (one.id === victim.id ? { ...one, ...change } : one)) } }
  },
  'a schedule that was disabled meanwhile': (given, which) => {
    const key = pick(given.plans.filter(({ remove }) => remove.length > 0), which)?.schedule
    return key === undefined ? undefined : { ...given, evidence: { ...given.evidence, schedules: given.evidence.schedules.filter((one) => one.key !== key) } }
  },
  'a retention that was raised meanwhile': (given, which) => {
    const key = pick(given.plans.filter(({ remove }) => remove.length > 0), which)?.schedule
    if (key === undefined) return undefined
    return { ...given, evidence: { ...given.evidence, schedules: given.evidence.schedules.map((one) => (one.key === key ? { ...one, keep: keepLast(26) } : one)) } }
  },
}

describe('what a failed attempt left behind', () => {
  const leftover: Deletion = {
    cloud: 'default', server: web1, schedule: 'daily/web-1', image: id(1), snapshots: [], startedAt: day(21), leftoverOf: { period: '2026-11-21', runId: 'run-1' },
  }
  const objection = (one: Image, known: ReadonlyMap<string, string> = new Map(), deletion = leftover) => leftoverObjection(one, deletion, project, known)
  const { leftoverOf: _leftoverOf, ...ordinary } = leftover

  test.each<[sentence: string, image: Image, known?: ReadonlyMap<string, string>]>([
    ['an image that never got its data', image({ status: 'queued', size: null })],
    ['an image that is active and empty', image({ size: 0 })],
    ['an image whose volume snapshot is broken', image({ size: 0, properties: mapping(id(101)) }), statuses([101, 'error'])],
    ['an image whose volume snapshots are not known, as it is not active', image({ status: 'queued', size: null, properties: mapping(id(101)) })],
  ])('goes: %s', (_sentence, one, known) => {
    expect(objection(one, known)).toBeUndefined()
  })

  const foreign = 'it does not carry the marks of the failed attempt'
  test.each<[sentence: string, image: Image, reason: string, known?: ReadonlyMap<string, string>]>([
    ['an image of another project', image({ size: 0, owner: 'somebody-else' }), foreign],
    ['an image whose mark a person took away', image({ size: 0, properties: { [marks.createdBy]: '' } }), foreign],
    ['an image of another server', image({ size: 0, properties: { [marks.server]: web2 } }), foreign],
    ['an image of another run', image({ size: 0, properties: { [marks.run]: 'run-2' } }), foreign],
    ['an image that is protected', image({ size: 0, protected: true }), 'it is protected'],
    ['an image that is hidden', image({ size: 0, hidden: true }), 'it is hidden'],
    ['an image that somebody has deactivated', image({ size: 0, status: 'deactivated' }), 'its status is deactivated, which somebody gave it'],
    ['an image that has its data after all', image(), 'it can be restored after all'],
    ['an image whose volume snapshots are all there after all', image({ size: 0, properties: mapping(id(101)) }), 'it can be restored after all', statuses([101, 'available'])],
    ['an active image one of whose volume snapshots is not listed', image({ size: 0, properties: mapping(id(101), id(102)) }), `its volume snapshot ${id(102)} is not listed, which proves nothing`, statuses([101, 'error'])],
    ['an image that is sealed', image({ size: 0, properties: { [marks.seal]: id(1) } }), 'it is sealed'],
  ])('stays: %s', (_sentence, one, reason, known) => {
    expect(objection(one, known)).toBe(reason)
  })

  test('stays: any image, while it is not said which attempt left it behind', () => {
    const { [marks.run]: _run, ...unnamed } = image().properties
    expect(objection({ ...image({ size: 0 }), properties: unnamed }, undefined, ordinary)).toBe(foreign)
  })
})
