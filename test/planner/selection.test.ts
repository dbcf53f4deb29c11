import { expect, test } from 'vitest'
import type { Server } from '../../lib/model/server.ts'
import { indexServers, refusalOf, selectServer } from '../../lib/planner/selection.ts'
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
