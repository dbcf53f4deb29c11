import { expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import type { Run } from '../../lib/model/run.ts'
import { followUp, followUpStuck, mayLeaveBehind } from '../../lib/planner/follow-up.ts'
import { id, image, mapping, project, run } from '../support/builders.ts'

const minutes = (n: number) => new Date(run().startedAt.getTime() + n * 60_000)
const statuses = (...pairs: [number, string][]) => new Map(pairs.map(([n, status]) => [id(n), status]))

interface Given {
  run?: Partial<Run>
  image?: Image
  statuses?: ReadonlyMap<string, string>
  clock?: Date
}

function followed(given: Given) {
  return followUp(run(given.run), given.image, project, given.statuses, given.clock ?? minutes(15))
}

const { image: _none, ...unanswered } = run({ status: 'starting' })

test.each<[sentence: string, given: Given, expected: Record<string, unknown>]>([
  ['an active image with bytes is good', { image: image() }, { kind: 'good', kept: false }],
  ['case 15: a volume-backed one is good when its snapshots are', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'available']) }, { kind: 'good' }],
  ['case 16: and waits while they are being made', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'creating']) }, { kind: 'wait' }],
  ['case 16: an outage of Cinder is waited out, however long', { image: image({ size: 0, properties: mapping(id(101)) }), clock: minutes(60 * 48) }, { kind: 'wait', reason: 'the state of its volume snapshots is not known', problem: { code: 'IMAGE_STUCK' } }],
  ['one whose snapshot failed is failed, and removed', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'error']) }, { kind: 'failed', problem: { code: 'VOLUME_SNAPSHOT_FAILED', message: `Image ${id(1)} cannot be restored: its volume snapshot ${id(101)} is error.` }, leftover: { id: id(1) } }],
  ['one whose snapshot is being backed up waits', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'backing-up']) }, { kind: 'wait' }],
  ['case 16: one whose snapshots take a day is told of, and not given up', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'creating']), clock: minutes(60 * 24) }, { kind: 'wait', problem: { code: 'IMAGE_STUCK' } }],
  ['case 33: an image that is gone has failed', {}, { kind: 'failed', problem: { code: 'IMAGE_GONE', message: `Image ${id(1)} is gone: OpenStack removes it when the snapshot fails, or when the server is deleted meanwhile.` } }],
  ['case 34: queued after saving is no failure', { image: image({ status: 'queued', size: null }) }, { kind: 'wait' }],
  ['case 35: pending for almost as long, it is only waited for', { image: image({ status: 'queued', size: null }), clock: minutes(359) }, { kind: 'wait', reason: 'its status is queued' }],
  ['case 35: pending for hours, the server is asked', { image: image({ status: 'queued', size: null }), clock: minutes(360) }, { kind: 'wait', stuck: { code: 'IMAGE_STUCK', message: `Image ${id(1)} is not there after 6 hours: its status is queued.` } }],
  ['an empty image is failed, and removed', { image: image({ size: 0 }) }, { kind: 'failed', problem: { code: 'IMAGE_UNUSABLE' }, leftover: { id: id(1) } }],
  ['a deactivated one is failed, and left to whoever did it', { image: image({ status: 'deactivated' }) }, { kind: 'failed', problem: { code: 'IMAGE_UNUSABLE' } }],
  ['one whose mapping cannot be read is failed, and left alone', { image: image({ properties: { block_device_mapping: '[' } }) }, { kind: 'failed', problem: { code: 'IMAGE_UNUSABLE' } }],
  ['a good image whose mark a person took away is theirs', { image: image({ properties: { [marks.createdBy]: '' } }) }, { kind: 'good', kept: true }],
  ['a stranger in place of a failed image is not removed', { image: image({ size: 0, properties: { [marks.run]: 'another' } }) }, { kind: 'failed' }],
])('%s', (_sentence, given, expected) => {
  const decision = followed(given)
  expect(decision).toMatchObject(expected)
  if (!('leftover' in expected)) expect(decision).not.toHaveProperty('leftover')
  if (!('stuck' in expected)) expect(decision).not.toHaveProperty('stuck')
})

test('case 27: after a lost answer the image is adopted if it is there, and nobody gives up before the lease ends', () => {
  const decide = (found: Image | undefined, clock: Date) => followUp(unanswered, found, project, undefined, clock).kind
  expect(decide(image(), minutes(1))).toBe('adopt')
  expect(decide(undefined, minutes(9))).toBe('wait')
  expect(decide(undefined, minutes(10))).toBe('failed')
  expect(followUp(unanswered, undefined, project, undefined, minutes(9))).toMatchObject({ reason: 'createImage has not been answered yet' })
  expect(followUp(unanswered, undefined, project, undefined, minutes(10))).toMatchObject({
    problem: { code: 'ANSWER_LOST', message: 'The answer of createImage was lost, and no image of this run exists.' },
  })
})

test('case 28: the notice says that data volumes of an image-backed server are not in its image', () => {
  expect(followed({ run: { volumes: ['volume-1'] }, image: image() })).toMatchObject({
    notice: 'The image holds the root disk of server "web-1" only: its attached volume is not in it.',
  })
  expect(followed({ run: { volumes: ['volume-1', 'volume-2'] }, image: image() })).toMatchObject({
    notice: 'The image holds the root disk of server "web-1" only: its attached 2 volumes are not in it.',
  })
  expect(followed({ image: image() })).not.toHaveProperty('notice')
  const whole = followed({ run: { volumes: ['volume-1'] }, image: image({ properties: mapping(id(101)) }), statuses: statuses([101, 'available']) })
  expect(whole).not.toHaveProperty('notice')
})

test('case 35, 37: a stuck image is given up only when the server is idle', () => {
  const problem = { code: 'IMAGE_STUCK', message: 'It is not there.' } as const
  expect(followUpStuck(run(), image({ status: 'queued' }), project, problem, true)).toMatchObject({ kind: 'failed', problem, leftover: { id: id(1) } })
  expect(followUpStuck(run(), image({ status: 'queued' }), project, problem, false)).toMatchObject({
    kind: 'wait', reason: expect.stringContaining('administrator') as unknown, problem: { code: 'IMAGE_STUCK', message: expect.stringMatching(/^It is not there\. .*administrator/) as unknown },
  })
})

test.each<[code: Parameters<typeof mayLeaveBehind>[1], ofVolumes: boolean, ofImage: boolean]>([
  ['QUOTA_IMAGES', true, false], ['BAD_REQUEST', true, false], ['FORBIDDEN', true, false], ['SERVER_BUSY', true, true],
  ['SERVER_STATE', false, false], ['QUOTA_VOLUME_SNAPSHOTS', false, false], ['CLOUD_UNREACHABLE', false, false], ['ANSWER_LOST', false, false],
])('after %s something may be left behind of a volume-backed server (%s), and of an image-backed one (%s)', (code, ofVolumes, ofImage) => {
  expect([mayLeaveBehind({ volumes: ['volume-1'] }, code), mayLeaveBehind({ volumes: [] }, code)]).toEqual([ofVolumes, ofImage])
})
