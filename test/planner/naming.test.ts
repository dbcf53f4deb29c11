import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imageMetadata, imageName } from '../../lib/planner/naming.ts'
import { schedule, web1 } from '../support/builders.ts'

const at = new Date(1_368_176_524_987)
const named = (server: string, item: Record<string, unknown> = {}) => imageName(schedule(item), { server, period: '2013-05-10', at })

test.each<[sentence: string, server: string, item: Record<string, unknown>, name: string]>([
  ["as Rackspace's", 'myserver', {}, 'Daily-myserver-1368176524'],
  ['weekly', 'server4', { cadence: 'weekly', dayOfWeek: 'sunday' }, 'Weekly-server4-1368176524'],
  ['letters of any language stay', 'résumé-ñ-✓-日本', {}, 'Daily-résumé-ñ-✓-日本-1368176524'],
  ['an emoji becomes an underscore', 'web 🎉', {}, 'Daily-web _-1368176524'],
  ['so does a tab', 'web\t1', {}, 'Daily-web_1-1368176524'],
  ['a template', 'web-1', { imageName: '{schedule} of {server} for {period}' }, 'web-1 of web-1 for 2013-05-10'],
  ["space at an end of the server's name too", ' web-1\u00a0', {}, 'Daily-web-1-1368176524'],
  ['a template without the server', 'web-1', { imageName: '{period}' }, '2013-05-10'],
  ['a template that fills the name by itself', 'web-1', { imageName: `{period}${'x'.repeat(247)}` }, `2013-05-10${'x'.repeat(245)}`],
  ['space at an end is trimmed', 'web-1', { imageName: ' {time} {server} ' }, '1368176524 web-1'],
])('case 21: %s', (_sentence, server, item, name) => {
  expect(named(server, item)).toBe(name)
})

test("case 21: the server's name is cut, and the rest of the name is not", () => {
  const name = named('x'.repeat(255))
  expect(name).toHaveLength(255)
  expect(name).toMatch(/^Daily-x+-1368176524$/)
})

test("case 21: a server's name that is given twice is cut to the same twice, and the rest is not", () => {
  expect(named('y'.repeat(255), { imageName: '{server} {time} {server}' })).toBe(`${'y'.repeat(121)} 1368176524 ${'y'.repeat(121)}`)
})

test('case 21: no server can have a name that Nova would refuse for its image', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.constantFrom('{cadence}-{server}-{time}', '{server}{server} {period}', '{time}'), (server, template) => {
      const name = named(server, { imageName: template })
      expect(name.length).toBeGreaterThan(0)
      expect(name.length).toBeLessThanOrEqual(255)
      expect(name).toBe(name.trim())
      expect(name).not.toMatch(/[\p{C}\u{10000}-\u{10ffff}]/u)
    }),
    { numRuns: 1000 },
  )
})

test('case 19: metadata keys and values are within what Nova takes', () => {
  const metadata = imageMetadata({ server: web1, schedule: `daily/${'x'.repeat(128)}`, period: '2026-11-21' }, 'run-1', 'quiesced')
  expect(metadata).toMatchObject({ 'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: web1, scheduled_images__run: 'run-1', scheduled_images__consistency: 'quiesced' })
  for (const [key, value] of Object.entries(metadata)) {
    expect(key).toMatch(/^[a-zA-Z0-9-_:. ]{1,255}$/)
    expect(value.length).toBeLessThanOrEqual(255)
  }
})
