import { expect, test } from 'vitest'
import type { Image } from '../../lib/model/image.ts'
import { goodness } from '../../lib/planner/goodness.ts'
import { id, image, mapping } from '../support/builders.ts'

const backed = image({ size: 0, properties: mapping(id(101), id(102)) })
const second = (status: string) => new Map([[id(101), 'available'], [id(102), status]])

test.each<[sentence: string, image: Image, statuses?: ReadonlyMap<string, string>]>([
  ['with bytes of its own', image()],
  ['with each volume snapshot available', backed, second('available')],
])('an image is good %s', (_sentence, one, statuses) => {
  expect(goodness(one, statuses)).toEqual({ good: true })
})

test.each<[status: string, pending: boolean]>([
  ['queued', true], ['saving', true], ['uploading', true], ['importing', true],
  ['deactivated', false], ['killed', false], ['deleted', false], ['pending_delete', false],
])('an image that is %s is not good; it may yet become so: %s', (status, pending) => {
  expect(goodness(image({ status }), undefined)).toEqual({ good: false, pending, reason: `its status is ${status}` })
})

test.each<[status: string, pending: boolean]>([
  ['creating', true], ['backing-up', true], ['restoring', true], ['deleting', true], ['error', false], ['error_deleting', false],
])('a volume snapshot that is %s is not good; it may yet become so: %s', (status, pending) => {
  expect(goodness(backed, second(status))).toEqual({ good: false, pending, reason: `its volume snapshot ${id(102)} is ${status}` })
})

test.each<[sentence: string, image: Image, pending: boolean, reason: string, statuses?: ReadonlyMap<string, string>]>([
  ['it is empty', image({ size: 0 }), false, 'it is empty'],
  ['it has no data', image({ size: null }), false, 'it is empty'],
  ['its volume snapshot is gone', backed, false, `its volume snapshot ${id(102)} does not exist`, new Map([[id(101), 'available']])],
  ['its volume snapshots are not known', backed, true, 'the state of its volume snapshots is not known'],
  ['its mapping cannot be read', image({ properties: { block_device_mapping: '[' } }), false, 'its block_device_mapping cannot be read'],
])('an image is not good when %s', (_sentence, one, pending, reason, statuses) => {
  expect(goodness(one, statuses)).toEqual({ good: false, pending, reason })
})
