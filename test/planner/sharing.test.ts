import { expect, test } from 'vitest'
import { marks } from '../../lib/model/image.ts'
import { planSharing, recipientsOf, recordOf, type SharingPlan } from '../../lib/planner/sharing.ts'
import { id, project, sealed } from '../support/builders.ts'

const shared = (record: string, visibility = 'shared') => sealed({ visibility, properties: { [marks.sharedWith]: record } })

test.each<[sentence: string, image: ReturnType<typeof sealed>, shareWith: string[], plan: SharingPlan | undefined]>([
  ['a private image that is to be shared is opened first', sealed({ visibility: 'private' }), ['beta'], { open: true, add: ['beta'], remove: [] }],
  ['a private image that is to be shared with nobody stays as it is', sealed({ visibility: 'private' }), [], undefined],
  ['its own project is no member', sealed({ visibility: 'private' }), [project], undefined],
  ['one that is shared as it should be stays as it is', shared(`${id(1)} beta`), ['beta'], undefined],
  ['a project more becomes a member', shared(`${id(1)} beta`), ['beta', 'gamma'], { open: false, add: ['gamma'], remove: [] }],
  ['a project less stops being one', shared(`${id(1)} beta gamma`), ['gamma'], { open: false, add: [], remove: ['beta'] }],
  ['one that was about to become a member is added again', shared(`${id(1)} +beta`), ['beta'], { open: false, add: ['beta'], remove: [] }],
  ['one that was about to, and is not to any more, is removed', shared(`${id(1)} +beta`), [], { open: false, add: [], remove: ['beta'] }],
  ['a record that was inherited from another image counts for nothing', shared(`${id(2)} beta`), ['gamma'], { open: false, add: ['gamma'], remove: [] }],
  ['an image that a person made private again is shared again, with everybody', shared(`${id(1)} beta`, 'private'), ['beta'], { open: true, add: ['beta'], remove: [] }],
  ['one that a person made private, and that is to be shared with nobody, stays as it is', shared(`${id(1)} beta`, 'private'), [], undefined],
  ['a public image has no members', shared(`${id(1)} beta`, 'public'), ['gamma'], undefined],
  ['a community image has none either', shared(`${id(1)} beta`, 'community'), [], undefined],
])('%s', (_sentence, image, shareWith, plan) => {
  expect(planSharing(image, shareWith)).toEqual(plan)
})

test('what is recorded is read again', () => {
  const recipients = { members: ['beta', 'gamma'], pending: ['delta'] }
  expect(recipientsOf(sealed({ properties: recordOf(sealed(), recipients) }))).toEqual(recipients)
  expect(recipientsOf(sealed())).toEqual({ members: [], pending: [] })
})
