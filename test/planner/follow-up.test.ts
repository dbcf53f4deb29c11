import { expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import type { Run } from '../../lib/model/run.ts'
import { followUp, followUpStuck } from '../../lib/planner/follow-up.ts'
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
  ['one whose snapshot failed is failed, and removed', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'error']) }, { kind: 'failed', problem: { code: 'VOLUME_SNAPSHOT_FAILED' }, leftover: { id: id(1) } }],
  ['one whose snapshot is being backed up waits', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'backing-up']) }, { kind: 'wait' }],
  ['case 16: one whose snapshots take a day is told of, and not given up', { image: image({ size: 0, properties: mapping(id(101)) }), statuses: statuses([101, 'creating']), clock: minutes(60 * 24) }, { kind: 'wait', problem: { code: 'IMAGE_STUCK' } }],
  ['case 33: an image that is gone has failed', {}, { kind: 'failed', problem: { code: 'IMAGE_GONE' } }],
  ['case 34: queued after saving is no failure', { image: image({ status: 'queued', size: null }) }, { kind: 'wait' }],
  ['case 35: pending for hours, the server is asked', { image: image({ status: 'queued', size: null }), clock: minutes(361) }, { kind: 'wait', stuck: { code: 'IMAGE_STUCK' } }],
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
})

test('case 28: the notice says that data volumes of an image-backed server are not in its image', () => {
  expect(followed({ run: { volumes: ['volume-1'] }, image: image() })).toMatchObject({
    notice: 'The image holds the root disk of server "web-1" only: its attached volume is not in it.',
  })
  expect(followed({ image: image() })).not.toHaveProperty('notice')
  const whole = followed({ run: { volumes: ['volume-1'] }, image: image({ properties: mapping(id(101)) }), statuses: statuses([101, 'available']) })
  expect(whole).not.toHaveProperty('notice')
})

test('case 35, 37: a stuck image is given up only when the server is idle', () => {
  const problem = { code: 'IMAGE_STUCK', message: 'It is not there.' } as const
  expect(followUpStuck(run(), image({ status: 'queued' }), project, problem, true)).toMatchObject({ kind: 'failed', problem, leftover: { id: id(1) } })
  expect(followUpStuck(run(), image({ status: 'queued' }), project, problem, false)).toMatchObject({ kind: 'wait', reason: expect.stringContaining('administrator') })
})
