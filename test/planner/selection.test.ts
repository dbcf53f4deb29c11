import { expect, test } from 'vitest'
import type { Selector } from '../../lib/model/schedule.ts'
import type { Server } from '../../lib/model/server.ts'
import { consistencyRefusal, indexServers, matchServers, refusalOf, selectServer } from '../../lib/planner/selection.ts'
import { id, server, web1 } from '../support/builders.ts'

const servers = indexServers([
  server(),
  server({ id: id(2), name: 'my-web-1' }),
  server({ id: id(3), name: 'twin' }),
  server({ id: id(4), name: 'twin' }),
])

test('case 61: a name matches whole and with its letter case', () => {
  expect(selectServer({ name: 'web-1' }, servers, 'default')).toMatchObject({ id: web1 })
  expect(selectServer({ name: 'WEB-1' }, servers, 'default')).toMatchObject({ code: 'SERVER_NOT_FOUND' })
  expect(selectServer({ name: 'web' }, servers, 'default')).toMatchObject({
    code: 'SERVER_NOT_FOUND',
    message: 'No server is named "web" in the project of cloud "default"; names are compared exactly. Correct the item\'s "server", or use the server\'s UUID.',
  })
})

test('a name that two servers have is refused, with their ids', () => {
  expect(selectServer({ name: 'twin' }, servers, 'default')).toEqual({
    code: 'SERVER_AMBIGUOUS',
    message: `2 servers are named "twin" in the project of cloud "default" (${id(3)}, ${id(4)}). Use the UUID of the one that is meant.`,
  })
})

test('a UUID is found in the listing, or it is told', () => {
  expect(selectServer({ id: id(2) }, servers, 'default')).toMatchObject({ id: id(2), name: 'my-web-1' })
  expect(selectServer({ id: id(9) }, servers, 'default')).toMatchObject({ code: 'SERVER_NOT_FOUND', message: expect.stringContaining(id(9)) })
})

test.each<[sentence: string, attributes: Partial<Server>, code: string | undefined]>([
  ['case 22: ACTIVE', {}, undefined],
  ['case 22: SHUTOFF', { status: 'SHUTOFF' }, undefined],
  ['case 22: PAUSED', { status: 'PAUSED' }, undefined],
  ['case 22: SUSPENDED', { status: 'SUSPENDED' }, undefined],
  ['case 23: ERROR', { status: 'ERROR' }, 'SERVER_STATE'],
  ['case 23: SHELVED_OFFLOADED', { status: 'SHELVED_OFFLOADED' }, 'SERVER_STATE'],
  ['case 23: VERIFY_RESIZE', { status: 'VERIFY_RESIZE' }, 'SERVER_STATE'],
  ['case 24: a snapshot runs', { taskState: 'image_uploading' }, 'SERVER_BUSY'],
  ['case 24: a reboot runs', { status: 'REBOOT', taskState: 'rebooting' }, 'SERVER_BUSY'],
])('%s', (_sentence, attributes, code) => {
  expect(refusalOf(server(attributes), undefined, new Date())?.code).toBe(code)
})

test('a refusal says what keeps the server from its image', () => {
  expect(refusalOf(server({ taskState: 'rebooting' }), undefined, new Date())?.message).toBe('Server "web-1" is busy (rebooting); the image waits for it.')
  expect(refusalOf(server({ status: 'ERROR' }), undefined, new Date())?.message).toBe(
    'Server "web-1" is in state ERROR, in which OpenStack makes no image; it has to be ACTIVE, SHUTOFF, PAUSED or SUSPENDED.',
  )
})

test('case 37: a server that an image keeps busy is reported with the remedy', () => {
  const now = new Date('2026-11-21T02:00:00Z')
  const since = (time: string) => new Date(`2026-11-21T${time}Z`)
  expect(refusalOf(server({ taskState: 'image_snapshot' }), undefined, now)).toMatchObject({ code: 'SERVER_BUSY' })
  expect(refusalOf(server({ taskState: 'image_snapshot' }), since('01:00:01'), now)).toMatchObject({ code: 'SERVER_BUSY' })
  expect(refusalOf(server({ taskState: 'rebooting' }), since('01:00:00'), now)).toMatchObject({ code: 'SERVER_BUSY' })
  expect(refusalOf(server({ taskState: 'image_snapshot' }), since('01:00:00'), now)).toMatchObject({
    code: 'SERVER_STUCK', message: expect.stringMatching(/administrator has to reset its state/) as unknown,
  })
})

const fleet = [
  server({ id: id(1), name: 'web-1', tags: ['nightly', 'eu'], metadata: { tier: '1' } }),
  server({ id: id(2), name: 'web-22', tags: ['nightly'], metadata: { tier: '2' } }),
  server({ id: id(3), name: 'db-1', tags: [], metadata: { tier: '1', owner: 'alice' } }),
  server({ id: id(4), name: 'WEB-3 🎉', tags: ['Nightly'], metadata: {} }),
]
const nothing = { tags: [], metadata: {} }
const matched = (selector: Partial<Selector>, servers: readonly Server[] = fleet) => {
  const found = matchServers({ ...nothing, exclude: nothing, ...selector }, 1000, servers, 'default')
  return 'code' in found ? found.code : found.map(({ name }) => name)
}

test.each<[sentence: string, selector: Partial<Selector>, names: string[] | string]>([
  ['a tag, with its letter case', { tags: ['nightly'] }, ['web-1', 'web-22']],
  ['all of several tags', { tags: ['nightly', 'eu'] }, ['web-1']],
  ['metadata, compared exactly', { metadata: { tier: '1' } }, ['web-1', 'db-1']],
  ['all of the metadata', { metadata: { tier: '1', owner: 'alice' } }, ['db-1']],
  ['metadata that has another value', { metadata: { owner: 'bob' } }, 'SELECTOR_EMPTY'],
  ['a name whole', { name: 'web' }, 'SELECTOR_EMPTY'],
  ['a name with its letter case', { name: 'web-*' }, ['web-1', 'web-22']],
  ['one character for each question mark', { name: 'web-?' }, ['web-1']],
  ['a star that stands for nothing', { name: 'web-1*' }, ['web-1']],
  ['no name that is shorter than the pattern', { name: 'web-1?' }, 'SELECTOR_EMPTY'],
  ['no name that is longer than it', { name: 'web-2' }, 'SELECTOR_EMPTY'],
  ['no name that only ends as it does', { name: 'eb-1' }, 'SELECTOR_EMPTY'],
  ['what comes after a star again', { name: '*b-2*2' }, ['web-22']],
  ['an emoji is one character', { name: 'WEB-3 ?' }, ['WEB-3 🎉']],
  ['every server', { name: '*' }, ['web-1', 'web-22', 'db-1', 'WEB-3 🎉']],
  ['dots and brackets mean themselves', { name: 'web.1' }, 'SELECTOR_EMPTY'],
  ['tags and metadata and name together', { tags: ['nightly'], metadata: { tier: '2' }, name: '*2' }, ['web-22']],
  ['but not what is excluded by a tag', { name: '*', exclude: { ...nothing, tags: ['eu', 'nowhere'] } }, ['web-22', 'db-1', 'WEB-3 🎉']],
  ['nor by any metadata', { name: '*', exclude: { tags: [], metadata: { owner: 'alice', tier: '2' } } }, ['web-1', 'WEB-3 🎉']],
  ['nor by name', { name: 'web-*', exclude: { ...nothing, name: '*-1' } }, ['web-22']],
])('a selector matches %s', (_sentence, selector, names) => {
  expect(matched(selector)).toEqual(names)
})

test('a cloud that shows no tags has a selector by them refused, and no other', () => {
  const old = fleet.map((one) => ({ ...one, tags: undefined }))
  expect(matched({ tags: ['nightly'] }, old)).toBe('SELECTOR_UNUSABLE')
  expect(matched({ name: '*', exclude: { ...nothing, tags: ['eu'] } }, old)).toBe('SELECTOR_UNUSABLE')
  expect(matched({ name: 'db-*' }, old)).toEqual(['db-1'])
})

test('one old server among others has a selector by tags refused, and what cannot be used says what to do', () => {
  const sentence = (selector: Partial<Selector>, maxServers: number, servers: readonly Server[]) => {
    const found = matchServers({ ...nothing, exclude: nothing, ...selector }, maxServers, servers, 'east')
    return 'code' in found ? found.message : ''
  }
  expect(sentence({ tags: ['nightly'] }, 9, [...fleet, server({ tags: undefined })])).toBe('Cloud "east" does not show the tags of its servers, so a selector cannot go by them. Use metadata or name.')
  expect(sentence({ name: 'db' }, 9, fleet)).toBe('No server of the project of cloud "east" matches the selector; tags, metadata and names are compared exactly.')
  expect(sentence({ name: '*' }, 3, fleet)).toBe('The selector matches 4 servers of cloud "east", more than maxServers allows (3), so no image is made. Narrow it, or raise "maxServers".')
})

test('as many servers as the limit are matched, and not one more', () => {
  expect(matchServers({ ...nothing, exclude: nothing, name: '*' }, 4, fleet, 'default')).toHaveLength(4)
  expect(matchServers({ ...nothing, exclude: nothing, name: '*' }, 3, fleet, 'default')).toMatchObject({ code: 'SELECTOR_TOO_WIDE' })
})

test('no glob takes long, however many stars it has', () => {
  const name = 'a'.repeat(255)
  const began = process.cpuUsage().user
  expect(matched({ name: `${'*a'.repeat(100)}b` }, [server({ name })])).toBe('SELECTOR_EMPTY')
  expect(matched({ name: `${'*a'.repeat(100)}*` }, [server({ name })])).toEqual([name])
  expect(process.cpuUsage().user - began).toBeLessThan(1_000_000)
})

test.each<[sentence: string, attributes: Partial<Server>, consistency: Parameters<typeof consistencyRefusal>[1], properties: Record<string, string> | undefined, code: string | undefined]>([
  ['live asks for nothing', { status: 'PAUSED' }, 'live', undefined, undefined],
  ['stopped takes a running server', {}, 'stopped', undefined, undefined],
  ['stopped takes one that is off', { status: 'SHUTOFF' }, 'stopped', undefined, undefined],
  ['stopped cannot stop a paused one', { status: 'PAUSED' }, 'stopped', undefined, 'SERVER_STATE'],
  ['quiesced wants both properties, as oslo reads them', {}, 'quiesced', { hw_qemu_guest_agent: 'True', os_require_quiesce: ' yes ' }, undefined],
  ['quiesced does not go by one', {}, 'quiesced', { hw_qemu_guest_agent: 'yes' }, 'QUIESCE_NOT_REQUIRED'],
  ['quiesced takes no for no', {}, 'quiesced', { hw_qemu_guest_agent: 'yes', os_require_quiesce: '0' }, 'QUIESCE_NOT_REQUIRED'],
  ['quiesced is refused when nothing is known', {}, 'quiesced', undefined, 'QUIESCE_NOT_REQUIRED'],
])('%s', (_sentence, attributes, consistency, properties, code) => {
  expect(consistencyRefusal(server(attributes), consistency, properties)?.code).toBe(code)
})

test('a refusal says what is not consistent enough, and what to do', () => {
  const sentence = (properties: Record<string, string> | undefined) => consistencyRefusal(server(), 'quiesced', properties)?.message
  const fix = 'Rebuild it from an image that does, or set "consistency" to "live" or "stopped".'
  expect(sentence(undefined)).toBe(`Server "web-1" cannot be quiesced for certain: the image that it was made from is gone. ${fix}`)
  expect(sentence({})).toBe(`Server "web-1" cannot be quiesced for certain: the image that it was made from does not say hw_qemu_guest_agent=yes and os_require_quiesce=yes. ${fix}`)
  expect(sentence({ hw_qemu_guest_agent: 'yes' })).toBe(`Server "web-1" cannot be quiesced for certain: the image that it was made from does not say os_require_quiesce=yes. ${fix}`)
  expect(consistencyRefusal(server({ status: 'PAUSED' }), 'stopped', undefined)?.message).toBe(
    'Server "web-1" is in state PAUSED, from which it cannot be stopped; consistency "stopped" needs it ACTIVE or SHUTOFF.',
  )
})
