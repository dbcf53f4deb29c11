import { expect, test } from 'vitest'
import type { Server } from '../../lib/model/server.ts'
import { indexServers, matchServers, refusalOf, selectServer } from '../../lib/planner/selection.ts'
import { id, schedule, server, web1 } from '../support/builders.ts'

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

const fleet = [
  server({ name: 'web-1', tags: ['web', 'nightly'], metadata: { backup: 'true', tier: '1' } }),
  server({ name: 'web-2', tags: ['web'], metadata: { backup: 'false', tier: '1' } }),
  server({ name: 'WEB-3', tags: ['Web', 'nightly'], metadata: { backup: 'true' } }),
  server({ name: 'test-web-1', tags: ['web', 'nightly'], metadata: { tier: '2' } }),
  server({ name: 'db-10' }),
]

/** What a schedule with this selector makes of a listing. */
function matched(selector: Record<string, unknown>, { maxServers = 1000, servers = fleet }: { maxServers?: number; servers?: readonly Server[] } = {}) {
  const { server: reference } = schedule({ server: undefined, selector })
  if (!('selector' in reference)) throw new Error('a selector was expected')
  return matchServers(reference.selector, maxServers, servers, 'default')
}

test.each<[sentence: string, selector: Record<string, unknown>, names: string[]]>([
  ['one tag', { tags: ['nightly'] }, ['web-1', 'WEB-3', 'test-web-1']],
  ['each of several tags', { tags: ['web', 'nightly'] }, ['web-1', 'test-web-1']],
  ['metadata, as text', { metadata: { backup: true, tier: 1 } }, ['web-1']],
  ['tags, metadata and a name, all of them', { tags: ['web'], metadata: { tier: 1 }, name: 'web-*' }, ['web-1', 'web-2']],
  ['a name from its beginning to its end', { name: 'web-*' }, ['web-1', 'web-2']],
  ['one character for each ?', { name: '*-?' }, ['web-1', 'web-2', 'WEB-3', 'test-web-1']],
  ['several *', { name: '*e*-1' }, ['web-1', 'test-web-1']],
  ['a name without * or ?', { name: 'db-10' }, ['db-10']],
  ['every server', { name: '*' }, ['web-1', 'web-2', 'WEB-3', 'test-web-1', 'db-10']],
  ['all but a name', { tags: ['web'], exclude: { name: 'test-*' } }, ['web-1', 'web-2']],
  ['all but what any one exclusion matches', { name: '*', exclude: { tags: ['nightly'], metadata: { backup: false } } }, ['db-10']],
])('a selector matches %s', (_sentence, selector, names) => {
  const servers = matched(selector)
  expect('code' in servers ? servers : servers.map(({ name }) => name)).toEqual(names)
})

test('a selector that matches no server, too many, or goes by what the cloud does not show, says so', () => {
  expect(matched({ name: 'web' })).toEqual({
    code: 'SELECTOR_EMPTY', message: 'No server of the project of cloud "default" matches the selector; tags, metadata and names are compared exactly.',
  })
  expect(matched({ name: '*' }, { maxServers: 5 })).toHaveLength(5)
  expect(matched({ name: '*' }, { maxServers: 4 })).toEqual({
    code: 'SELECTOR_TOO_WIDE',
    message: 'The selector matches 5 servers of cloud "default", more than maxServers allows (4), so no image is made. Narrow it, or raise "maxServers".',
  })
  const tagless = fleet.map((one) => ({ ...one, tags: undefined }))
  for (const selector of [{ tags: ['web'] }, { name: '*', exclude: { tags: ['web'] } }]) {
    expect(matched(selector, { servers: tagless })).toMatchObject({ code: 'SELECTOR_UNUSABLE' })
  }
  expect(matched({ name: '*' }, { servers: tagless })).toHaveLength(5)
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
