import { expect, test } from 'vitest'
import { marks } from '../../lib/model/image.ts'
import { keepLast } from '../../lib/model/keep.ts'
import type { Evidence } from '../../lib/planner/gate.ts'
import { whatIf } from '../../lib/planner/what-if.ts'
import { id, project, schedule, sealed } from '../support/builders.ts'

/** Images of the 12th to the 21st, numbered by their days; the 15th was a Sunday. */
const images = Array.from({ length: 10 }, (_, n) => sealed({ id: id(12 + n), createdAt: new Date(Date.UTC(2026, 10, 12 + n, 1)) }))
const evidence: Evidence = { project, images, schedules: [schedule({ retention: 3 }), schedule({ schedule: 'other', retention: 1 })], existing: new Set(['daily/web-1', 'daily/other']), statuses: undefined }

test('fewer images would doom those that the present rules keep', () => {
  const { doomed, spared, plans } = whatIf(evidence, 'daily/web-1', keepLast(1))
  expect(doomed.map(({ image, reason }) => [image.id, reason])).toEqual([[id(19), 'a newer good image is kept'], [id(20), 'a newer good image is kept']])
  expect(spared).toEqual([])
  expect(plans).toMatchObject([{ schedule: 'daily/web-1', keep: [{ image: { id: id(21) }, reason: 'good image 1 of 1' }] }])
})

test('other rules would spare some, with their reasons', () => {
  const { doomed, spared, plans } = whatIf(evidence, 'daily/web-1', { ...keepLast(1), weekly: 2 })
  expect(spared.map((image) => image.id)).toEqual([id(15)])
  expect(doomed.map(({ image }) => image.id)).toEqual([id(19), id(20)])
  expect(plans[0]!.keep[1]!.reason).toMatch(/^the newest of the week of 2026-11-09 \(weekly 2 of 2\)/)
})

test('other schedules keep their rules, and what they adopt', () => {
  const world: Evidence = { ...evidence, images: [...images, sealed({ id: id(50), properties: { [marks.schedule]: 'daily/other' } })] }
  expect(whatIf(world, 'daily/other', keepLast(1))).toMatchObject({ plans: [{ schedule: 'daily/other', keep: [{ image: { id: id(50) } }], remove: [] }], doomed: [], spared: [] })
})

test('the same rules change nothing, and a schedule that is not there has no plan', () => {
  expect(whatIf(evidence, 'daily/web-1', keepLast(3))).toMatchObject({ doomed: [], spared: [] })
  expect(whatIf(evidence, 'daily/gone', keepLast(1))).toEqual({ plans: [], doomed: [], spared: [] })
})
