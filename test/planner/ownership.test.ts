import { expect, test } from 'vitest'
import { marks, type Image, type VolumeSnapshot } from '../../lib/model/image.ts'
import { countReferences, isImageOf, ownSnapshots, scheduledImage, strandedSnapshots } from '../../lib/planner/ownership.ts'
import { id, image, mapping, project, run, sealed, web2 } from '../support/builders.ts'

test('an image that is sealed with its own id is ours', () => {
  expect(scheduledImage(sealed(), project)).toMatchObject({ server: run().server, schedule: 'daily/web-1' })
})

test.each<[sentence: string, image: Image]>([
  ["case 1: a person's image of a server restored from ours has inherited every property, another's seal among them", { ...sealed(), id: id(2) }],
  ['case 2: so has the image that shelve makes of it', { ...sealed({ name: 'web-1-shelved' }), id: id(3) }],
  ['an image that is not sealed yet', image()],
  ['case 6: an image of another project', sealed({ owner: 'somebody-else' })],
  ['case 9: a mark in another letter case', sealed({ properties: { [marks.createdBy]: 'Scheduled_Images_Service' } })],
  ['an image whose mark a person took away', { ...sealed(), properties: { ...sealed().properties, [marks.createdBy]: '' } }],
  ['an image that names no server', sealed({ properties: { [marks.server]: '' } })],
  ['an image that names no schedule', sealed({ properties: { [marks.schedule]: '' } })],
])('not ours: %s', (_sentence, theirs) => {
  expect(scheduledImage(theirs, project)).toBeUndefined()
})

test('an image in flight is known by the id of its run', () => {
  expect(isImageOf(run(), image(), project)).toBe(true)
  expect(isImageOf(run({ runId: 'run-2' }), image(), project)).toBe(false)
  expect(isImageOf(run({ server: web2 }), image(), project)).toBe(false)
  expect(isImageOf(run(), image({ id: id(2) }), project)).toBe(false)
  expect(isImageOf(run(), image({ owner: 'somebody-else' }), project)).toBe(false)
  expect(isImageOf(run(), image({ properties: { [marks.createdBy]: '' } }), project)).toBe(false)
})

test('an image whose id is not known, since the answer was lost, is known by its run', () => {
  const { image: _image, ...unanswered } = run()
  expect(isImageOf(unanswered, image({ id: id(7) }), project)).toBe(true)
  expect(isImageOf(unanswered, image({ properties: { [marks.run]: 'run-2' } }), project)).toBe(false)
})

test('the volume snapshots of an image are those that it alone names, and none where it names none', () => {
  const backed = (n: number, ...snapshots: readonly number[]) => image({ id: id(n), properties: mapping(...snapshots.map((one) => id(one))) })
  const references = countReferences([backed(1, 101, 102), backed(2, 102, 103), image({ id: id(3) })])
  expect(ownSnapshots(backed(1, 101, 102), references)).toEqual([id(101)])
  expect(ownSnapshots(backed(4, 104), references)).toEqual([id(104)])
  expect(ownSnapshots(image({ id: id(3) }), references)).toEqual([])
})

const attempt = { ...run({ volumes: ['volume-1', 'volume-2'], imageName: 'Daily-web-1-1795222800' }), refused: true }
const left = (attributes: Partial<VolumeSnapshot> = {}): VolumeSnapshot =>
  ({ id: id(101), name: 'snapshot for Daily-web-1-1795222800', volume: 'volume-2', status: 'available', sizeGiB: 1, ...attributes })

test.each<[sentence: string, stranded: boolean, snapshot: VolumeSnapshot, images?: readonly Image[]]>([
  ['has the name of the image that was to be, and no image names it', true, left()],
  ['is named so, and the images name others', true, left(), [image(), image({ properties: mapping(id(102)) })]],
  ['is of a volume that the server did not have', false, left({ volume: 'volume-3' })],
  ['has another name', false, left({ name: 'snapshot for Daily-web-1-17952228001' })],
  ['has the very name of the image', false, left({ name: 'Daily-web-1-1795222800' })],
  ['is named by an image', false, left(), [image(), image({ owner: 'somebody-else', properties: mapping(id(102), id(101)) })]],
  ['is named by a mapping that cannot be read', false, left(), [image({ properties: { block_device_mapping: `[{"snapshot_id": "${id(101)}"` } })]],
])('a volume snapshot that %s was left behind by a failed attempt: %s', (_sentence, stranded, snapshot, images = []) => {
  expect(strandedSnapshots(attempt, [snapshot], images)).toEqual(stranded ? [snapshot] : [])
})

test('a volume snapshot whose name does not hold the second of the attempt could be the next one\'s, and stays', () => {
  expect(strandedSnapshots({ ...attempt, imageName: 'daily of web-1' }, [left({ name: 'snapshot for daily of web-1' })], [])).toEqual([])
})
