import { expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import { isImageOf, scheduledImage } from '../../lib/planner/ownership.ts'
import { id, image, project, run, sealed, web2 } from '../support/builders.ts'

test('an image that is sealed with its own id is ours', () => {
  expect(scheduledImage(sealed(), project)).toMatchObject({ server: run().server, schedule: 'daily/web-1', period: '2026-11-21' })
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
})
