import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { findOwnServer } from '../../lib/openstack/own-server.ts'

const id = '47c3f6b0-1234-4abc-8000-000000000001'
const dmi = '/sys/class/dmi/id/product_uuid'

async function found(answer: RequestListener, files: Record<string, string> = {}) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const metadataUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  try {
    return await findOwnServer({ metadataUrl, readFile: (path) => files[path] })
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const json = (text: string): RequestListener => (request, response) => response.end(request.url === '/openstack/latest/meta_data.json' ? text : '{}')
const missing: RequestListener = (_, response) => response.writeHead(404).end()

test('the metadata service comes first', async () => {
  expect(await found(json(`{"uuid": "${id.toUpperCase()}"}`), { [dmi]: '00000000-0000-4000-8000-000000000009' })).toEqual({ ids: [id], source: 'the metadata service' })
})

test('without it, the UUID of the hardware is it, with its bytes in either order', async () => {
  expect(await found(missing, { [dmi]: '47C3F6B0-1234-4ABC-8000-000000000001\n' })).toEqual({ ids: [id, 'b0f6c347-3412-bc4a-8000-000000000001'], source: dmi })
})

test.each<[sentence: string, answer: RequestListener, why: string]>([
  ['answers 404', missing, 'answered 404'],
  ['answers nonsense', json('<html>'), 'does not answer'],
  ['tells no UUID', json('{"uuid": "../../etc"}'), 'told no UUID'],
  ['sends elsewhere', (_, response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end(), 'does not answer'],
])('what was tried is told when the metadata service %s and there is no such hardware', async (_sentence, answer, why) => {
  expect(await found(answer)).toEqual({ ids: [], source: expect.stringMatching(new RegExp(`^the metadata service at http://127.0.0.1:\\d+/openstack/latest/meta_data.json ${why}, and ${dmi} is not there, or may not be read \\(only root may\\)$`)) as string })
})

test('a metadata service that never answers is waited for briefly', async () => {
  expect(await found(() => {}, { [dmi]: 'Not Settable' })).toMatchObject({ ids: [], source: expect.stringMatching(/does not answer, and .* holds no UUID$/) as string })
})
