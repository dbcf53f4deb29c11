import { expect, test } from 'vitest'
import { marks, type Image } from '../../lib/model/image.ts'
import type { Run } from '../../lib/model/run.ts'
import { appraise, type Appraisal } from '../../lib/planner/appraisal.ts'
import { id, image, mapping, project, run, schedule, sealed, web2 } from '../support/builders.ts'

const day = (n: number) => new Date(Date.UTC(2026, 10, n))
const good = (n: number, attributes: Partial<Image> = {}) => sealed({ id: id(n), createdAt: day(n), ...attributes })

/** One schedule, daily/web-1, that keeps two; daily/off is disabled. */
function verdicts(images: readonly Image[], runs: readonly Run[] = []): [n: number, Appraisal['verdict'], reason: string][] {
  const statuses = new Map([[id(100), 'available'], [id(101), 'error']])
  const evidence = { project, images, schedules: [schedule({ retention: 2 })], existing: new Set(['daily/web-1', 'daily/off']), statuses }
  return appraise(evidence, runs).map((one) => [Number(one.image.id.slice(-4)), one.verdict, one.reason])
}

test.each<[sentence: string, image: Image, verdict: Appraisal['verdict'] | undefined, reason: string, runs?: Run[]]>([
  ['a good one inside retention', good(1), 'keep', 'good image 1 of 2'],
  ['a protected one', good(1, { protected: true }), 'kept', 'it is protected, and not counted'],
  ['a hidden one', good(1, { hidden: true }), 'kept', 'it is hidden, and not counted'],
  ['one whose mark was taken away', good(1, { properties: { [marks.createdBy]: '' } }), 'kept', `its mark ${marks.createdBy} was taken away, and it is not counted`],
  ['one of a disabled schedule', good(1, { properties: { [marks.schedule]: 'daily/off' } }), 'keep', 'its schedule daily/off is disabled or invalid'],
  ['one of a deleted schedule', good(1, { properties: { [marks.schedule]: 'daily/gone' } }), 'keep', 'its schedule daily/gone no longer exists'],
  ['one with a broken volume snapshot', good(1, { size: 0, properties: mapping(id(101)) }), 'keep', `it is not good and not counted: its volume snapshot ${id(101)} is error`],
  ['one that is being made', image({ status: 'saving' }), 'making', 'its status is saving', [run()]],
  ['one that is made and not settled', image(), 'making', 'it counts once the next prune has found it good', [run()]],
  ['what a failed attempt left', image({ status: 'queued' }), 'making', 'its attempt failed: Stuck.', [run({ status: 'failed', problem: { code: 'IMAGE_STUCK', message: 'Stuck.' } })]],
  ["a person's, which inherited our marks", image({ properties: { [marks.seal]: id(9) } }), undefined, ''],
  ["one of another run's id", image(), undefined, '', [run({ runId: 'run-2' })]],
  ["another project's", good(1, { owner: 'other' }), undefined, ''],
])('%s', (_sentence, one, verdict, reason, runs) => {
  expect(verdicts([one], runs)).toEqual(verdict === undefined ? [] : [[Number(one.id.slice(-4)), verdict, reason]])
})

test('newest first, each with what prune would do, and each server by itself', () => {
  const other = sealed({ id: id(9), createdAt: day(1), properties: { [marks.server]: web2 } })
  expect(verdicts([good(1), good(3), good(2), other])).toEqual([
    [3, 'keep', 'good image 1 of 2'],
    [2, 'keep', 'good image 2 of 2'],
    [9, 'keep', 'good image 1 of 2'],
    [1, 'delete', '2 newer good images are kept'],
  ])
})
