import { expect, test } from 'vitest'
import { createdBy, makingSeconds, marks, sealTag, volumeSnapshots, type VolumeSnapshots } from '../../lib/model/image.ts'
import { id, image, mapping, sealed } from '../support/builders.ts'

const none: VolumeSnapshots = { kind: 'none' }
const unreadable: VolumeSnapshots = { kind: 'unreadable' }
const named = (...ids: readonly number[]): VolumeSnapshots => ({ kind: 'snapshots', ids: ids.map((n) => id(n)) })

test.each<[sentence: string, devices: unknown, expected: VolumeSnapshots]>([
  ['as Nova writes it', JSON.parse(mapping(id(101), id(102))['block_device_mapping']!), named(101, 102)],
  ['that names one snapshot twice', [{ snapshot_id: id(101) }, { snapshot_id: id(101) }], named(101)],
  ['that says no source', [{ snapshot_id: id(101) }], named(101)],
  ['with a blank disk beside', [{ source_type: 'snapshot', snapshot_id: id(101) }, { source_type: 'blank', snapshot_id: null }], named(101)],
  ['of a local disk alone', [{ source_type: 'image', snapshot_id: null, image_id: id(5) }], none],
  ['with nothing in it', [], none],
  ['that names a volume, which is never taken for a snapshot', [{ source_type: 'volume', volume_id: id(5) }], unreadable],
  ['with a snapshot that has no id', [{ snapshot_id: id(101) }, { source_type: 'snapshot', snapshot_id: null }], unreadable],
  ['with an id that is none', [{ source_type: 'snapshot', snapshot_id: '../volumes' }], unreadable],
  ['with an id that is no text', [{ snapshot_id: 101 }], unreadable],
  ['with a source that is no text', [{ snapshot_id: id(101), source_type: 5 }], unreadable],
  ['that is no list', { snapshot_id: id(101) }, unreadable],
])('a mapping %s', (_sentence, devices, expected) => {
  expect(volumeSnapshots(image({ properties: { block_device_mapping: JSON.stringify(devices) } }))).toEqual(expected)
})

test('a mapping that is absent or empty names nothing, and one that is no JSON cannot be read', () => {
  expect(volumeSnapshots(image())).toEqual(none)
  expect(volumeSnapshots(image({ properties: { block_device_mapping: '' } }))).toEqual(none)
  expect(volumeSnapshots(image({ properties: { block_device_mapping: '[' } }))).toEqual(unreadable)
})

test('how long an image took is from when Nova asked for it until its data had come, while nothing else has changed it', () => {
  const times = { createdAt: new Date('2026-11-21T01:00:00Z'), updatedAt: new Date('2026-11-21T01:06:40Z') }
  expect(makingSeconds(image(times))).toBe(400)
  expect(makingSeconds(sealed(times))).toBeUndefined()
  expect(makingSeconds(image({ ...times, properties: { [marks.seal]: id(7) } }))).toBe(400)
  expect(makingSeconds(image({ ...times, properties: mapping(id(101)) }))).toBeUndefined()
  expect(makingSeconds(image({ ...times, properties: { block_device_mapping: '[' } }))).toBeUndefined()
  expect(makingSeconds(image())).toBeUndefined()
})

test('the marks are those of the images that are out there already', () => {
  expect({ ...marks, is: createdBy, tag: sealTag }).toEqual({
    createdBy: 'org.openstack__1__created_by', is: 'scheduled_images_service', server: 'instance_uuid', schedule: 'scheduled_images__schedule',
    period: 'scheduled_images__period', run: 'scheduled_images__run', consistency: 'scheduled_images__consistency', seal: 'scheduled_images__image', sharedWith: 'scheduled_images__shared_with', tag: 'scheduled-images',
  })
})
