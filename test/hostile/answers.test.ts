import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startOpenStack, type OpenStackSimulator } from '../../demo/openstack/simulator.ts'
import { connect, type OpenStack } from '../../lib/openstack/cloud.ts'
import { parseCloudConfig } from '../../lib/openstack/config.ts'
import { startElsewhere, type Elsewhere } from './elsewhere.ts'

const now = new Date('2026-11-21T00:00:00Z')
const megabyte = 2 ** 20
const id = '00000000-0000-4000-8000-000000000001'
const image = { id, name: 'x', status: 'active', owner: 'me', created_at: '2026-11-20T01:00:00Z', protected: false, visibility: 'private', size: 5, tags: [] }

let simulator: OpenStackSimulator
let elsewhere: Elsewhere
let auth: Record<string, string>
/** What Nova, Glance and Cinder answer. */
let answer: RequestListener
let asked: string[]
let hostile: { readonly url: string; close(): Promise<void> }

beforeEach(async () => {
  simulator = await startOpenStack({ clock: () => now })
  const project = simulator.addProject('alpha')
  const credential = simulator.addApplicationCredential(simulator.addUser('alice', 'alice-password', { alpha: 'member' }), project, { secret: 'alpha-secret' })
  auth = { auth_url: simulator.authUrl, application_credential_id: credential.id, application_credential_secret: credential.secret }
  elsewhere = await startElsewhere()
  asked = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  hostile = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
})
afterEach(async () => {
  expect(elsewhere.visitors).toBe(0)
  await Promise.all([simulator.close(), hostile.close(), elsewhere.close()])
})

/** @param timeLeftMs - Of which the client leaves the last 10 s alone. */
function enter(timeLeftMs = 40_000): Promise<OpenStack> {
  const ends = performance.now() + timeLeftMs
  const overrides = { compute_endpoint_override: `${hostile.url}/v2.1`, image_endpoint_override: hostile.url, block_storage_endpoint_override: `${hostile.url}/v3/p` }
  const config = parseCloudConfig(JSON.stringify({ auth, region_name: 'RegionOne', ...overrides }), 'test')
  return connect(config, { clock: () => now, sleep: () => Promise.resolve(), random: () => 0, timeLeftMs: () => Math.floor(ends - performance.now()) })
}

/** Every way to read from a cloud. */
const readings: Record<string, (cloud: OpenStack) => Promise<unknown>> = {
  'listing images': ({ image }) => image.listImages({ owner: 'me', properties: {} }),
  'looking at an image': ({ image }) => image.getImage(id),
  'listing servers': ({ compute }) => compute.listServers(),
  'looking at a server': ({ compute }) => compute.getServer(id),
  'looking at a volume': ({ blockStorage }) => blockStorage.getVolume(id),
  'listing volume snapshots': ({ blockStorage }) => blockStorage.listSnapshots(),
}

const says = (body: string | Buffer, headers: Record<string, string> = {}): RequestListener => (_, response) => void response.writeHead(200, headers).end(body)

/** Goes on writing for as long as somebody reads. @returns how many bytes went out. */
function pour(response: ServerResponse, chunk: Buffer, most: number): () => number {
  let poured = 0
  const more = () => {
    while (poured < most && !response.destroyed) {
      poured += chunk.length
      if (!response.write(chunk)) return
    }
    response.end()
  }
  response.on('drain', more)
  more()
  return () => poured
}

test.each<[sentence: string, body: string | Buffer, headers?: Record<string, string>]>([
  ['nothing', ''],
  ['JSON that ends too soon', '{"images": [{"id": "00000000-0000-'],
  ['a login page', '<!doctype html><html><body>Welcome to the hotel</body></html>', { 'Content-Type': 'text/html' }],
  ['JSON of something else', '{"versions": []}'],
  ['null', 'null'],
  ['lists of null', '{"images":[null],"servers":[null],"snapshots":[null],"image":null,"server":null}'],
  ['lists that are mappings', '{"images":{},"servers":{},"snapshots":{}}'],
  ['lists within a prototype', '{"__proto__":{"images":[],"servers":[],"snapshots":[],"id":"x","status":"active","server":{}}}'],
  ["Python's NaN", `{"images":[{"id":"${id}","size":NaN}],"servers":[NaN],"snapshots":[NaN]}`],
  ['half a million brackets', '['.repeat(megabyte / 2)],
  ['mappings a hundred thousand deep', `{"images":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`],
  ['something that is not gzip, by its header', '{"images":[],"servers":[],"snapshots":[]}', { 'Content-Encoding': 'gzip' }],
])('%s is no answer to any reading, and no reason to die', async (_sentence, body, headers) => {
  answer = says(body, headers)
  const cloud = await enter()
  for (const read of Object.values(readings)) {
    await expect(read(cloud)).rejects.toMatchObject({ code: expect.stringMatching(/^(ANSWER_INVALID|CLOUD_UNREACHABLE)$/) as unknown })
  }
})

test.each<[sentence: string, item: object]>([
  ['an id that is a path', { ...image, id: '../../x' }],
  ['an id with a query', { ...image, id: `${id}?x=1` }],
  ['a date that is none', { ...image, created_at: 'yesterday' }],
  ['the 30th of February', { ...image, created_at: '2026-02-30T01:00:00Z' }],
  ['a date as a number', { ...image, created_at: 1_793_926_800 }],
  ['a year of five digits', { ...image, created_at: '+012026-11-20T01:00:00Z' }],
  ['a size as text', { ...image, size: '5' }],
  ['a size beyond numbers', { ...image, size: Infinity }],
  ['a status that is a list', { ...image, status: ['active'] }],
  ['an owner that is a mapping', { ...image, owner: { id: 'me' } }],
  ['protected as text', { ...image, protected: 'false' }],
  ['tags that are one word', { ...image, tags: 'scheduled-images' }],
])('one image with %s makes its listing an error, which names the field and no more', async (_sentence, item) => {
  // JSON has no infinity, but 1e999 is read as one.
  answer = says(JSON.stringify({ images: [image, item] }).replace('null', '1e999'))
  await expect((await enter()).image.listImages({ owner: 'me', properties: {} })).rejects.toMatchObject({
    code: 'ANSWER_INVALID', message: expect.stringMatching(/^Listing images was answered with something that is not understood \(images\.1\.\w+\)\.$/) as unknown,
  })
})

test('keys that programs trip over are properties like others, and give nothing to this image or to any', async () => {
  const proto = '"__proto__":{"owner":"me","protected":true,"status":"queued"},"constructor":"x","toString":"y","hasOwnProperty":"z"'
  answer = says(JSON.stringify({ ...image, owner: null }).replace(/\}$/, `,${proto}}`))
  const seen = await (await enter()).image.getImage(id)
  expect(seen).toMatchObject({ owner: '', protected: false, status: 'active', properties: { constructor: 'x', toString: 'y', hasOwnProperty: 'z' } })
  expect(({} as Record<string, unknown>)['owner']).toBeUndefined()
})

test.each<[sentence: string, headers: Record<string, string>]>([
  ['is announced', { 'Content-Length': String(100 * megabyte) }],
  ['is not announced', {}],
])('a body of 100 MB, whose length %s, is read to the limit of 64 MB and then left', async (_sentence, headers) => {
  let poured = () => 0
  answer = (_, response) => {
    poured = pour(response.writeHead(200, headers), Buffer.alloc(megabyte, ' '), 100 * megabyte)
  }
  await expect((await enter()).compute.listServers()).rejects.toMatchObject({ code: 'ANSWER_INVALID', message: expect.stringContaining('maxContentLength size of 67108864 exceeded') as unknown })
  expect(poured()).toBeGreaterThan(60 * megabyte)
  expect(poured()).toBeLessThan(90 * megabyte)
  expect(asked).toHaveLength(1)
})

test('a megabyte that would unpack to a thousand is unpacked to the limit only', async () => {
  // gzip may have many members: each of these is a megabyte of spaces.
  const bomb = Buffer.concat(Array<Buffer>(1000).fill(gzipSync(Buffer.alloc(megabyte, ' '))))
  expect(bomb.length).toBeLessThan(2 * megabyte)
  answer = says(bomb, { 'Content-Encoding': 'gzip' })
  const before = process.resourceUsage().maxRSS
  await expect((await enter()).compute.listServers()).rejects.toMatchObject({ code: 'ANSWER_INVALID', message: expect.stringContaining('maxContentLength') as unknown })
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(400 * 1024)
})

test('a page that leads to itself, or to nowhere, is an error at once', async () => {
  for (const next of ['/v2/images?marker=1', '/v2/images', '?marker=1', '/v2/elsewhere?marker=1', 'javascript:alert(1)', '']) {
    asked.splice(0)
    answer = says(JSON.stringify({ images: [image], next }))
    await expect((await enter()).image.listImages({ owner: 'me', properties: {} })).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
    expect(asked.length).toBeLessThanOrEqual(2)
  }
})

test('pages without end take what time there is, and no more', async () => {
  answer = (request, response) => says(JSON.stringify({ images: [image], next: `/v2/images?marker=${asked.length}` }))(request, response)
  const cloud = await enter(10_400)
  const began = performance.now()
  await expect(cloud.image.listImages({ owner: 'me', properties: {} })).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  expect(performance.now() - began).toBeLessThan(3000)
  expect(asked.length).toBeGreaterThan(5)
})

test('a next page on another host is looked for on this one', async () => {
  const pages = [`${elsewhere.url}/v2/images?marker=a`, `//${elsewhere.url.slice(7)}/v2/images?marker=b`, `http://user:password@127.0.0.1/v2/images?marker=c#x`, undefined]
  answer = (request, response) => says(JSON.stringify({ images: [image], next: pages[asked.length - 1] }))(request, response)
  expect(await (await enter()).image.listImages({ owner: 'me', properties: {} })).toHaveLength(4)
  expect(asked.slice(1).map((line) => line.slice(0, 26))).toEqual(['GET /v2/images?marker=a', 'GET /v2/images?marker=b', 'GET /v2/images?marker=c#x'.replace('#x', '')].map((line) => expect.stringContaining(line) as unknown))
})

test.each([300, 301, 302, 303, 305, 307, 308])('a %i to another host is followed by no method', async (status) => {
  answer = (_, response) => void response.writeHead(status, { Location: `${elsewhere.url}/`, Refresh: `0; url=${elsewhere.url}/` }).end()
  const cloud = await enter()
  for (const read of Object.values(readings)) await expect(read(cloud)).rejects.toMatchObject({ code: 'ANSWER_INVALID', status })
  await expect(cloud.image.deleteImage(id)).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.blockStorage.deleteSnapshot(id)).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.image.addMarks({ ...image, hidden: false, minDiskGiB: 0, minRamMiB: 0, createdAt: now, properties: {} }, {}, [])).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.image.setVisibility(id, 'shared')).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.image.addMember(id, 'other')).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.image.removeMember(id, 'other')).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.compute.stopServer(id)).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.compute.startServer(id)).rejects.toMatchObject({ code: 'ANSWER_INVALID' })
  await expect(cloud.compute.createImage(id, 'x', {})).rejects.toMatchObject({ code: 'ANSWER_LOST' })
  expect(asked).toHaveLength(15)
})

test.each([301, 307])('a %i of Keystone takes the credentials nowhere', async (status) => {
  simulator.fault({ service: 'identity', then: { status, headers: { Location: `${elsewhere.url}/v3/auth/tokens` } } })
  await expect(enter()).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
})

test.each<[sentence: string, respond: RequestListener]>([
  ['headers that drip', (request, response) => {
    request.socket.write('HTTP/1.1 200 OK\r\n')
    const dripping = setInterval(() => request.socket.write('X-Slow: 1\r\n'), 20)
    response.on('close', () => clearInterval(dripping))
  }],
  ['a body that drips', (_, response) => {
    response.writeHead(200).write('{"images":[')
    const dripping = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(dripping))
  }],
  ['a body that stops', (_, response) => void response.writeHead(200, { 'Content-Length': '1000' }).write('{')],
  ['silence', () => {}],
])('%s end with the time', async (_sentence, respond) => {
  answer = respond
  const cloud = await enter(10_300)
  const began = performance.now()
  await expect(cloud.image.listImages({ owner: 'me', properties: {} })).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  expect(performance.now() - began).toBeLessThan(3000)
})

test.each<[sentence: string, respond: RequestListener]>([
  ['before the headers', (request) => void request.socket.destroy()],
  ['within the headers', (request) => void request.socket.write('HTTP/1.1 200 OK\r\nContent-', () => request.socket.destroy())],
  ['after the headers', (request, response) => void response.writeHead(200, { 'Content-Length': '1000' }).write('{"images":[', () => request.socket.destroy())],
  ['by something that speaks no HTTP', (request) => void request.socket.end('220 mail.example.com ESMTP\r\n')],
  ['by headers without end', (request) => void request.socket.write(`HTTP/1.1 200 OK\r\n${'X-Long: x\r\n'.repeat(100_000)}`)],
  ['by two lengths', (request) => void request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}')],
])('a connection that is broken %s is an error of one line, and no proof that nothing was made', async (_sentence, respond) => {
  answer = respond
  const cloud = await enter()
  for (const read of Object.values(readings)) {
    await expect(read(cloud)).rejects.toMatchObject({ code: expect.stringMatching(/^(ANSWER_INVALID|CLOUD_UNREACHABLE)$/) as unknown, message: expect.stringMatching(/^[^\r\n]*$/) as unknown })
  }
  asked.splice(0)
  await expect(cloud.compute.createImage(id, 'x', {})).rejects.toMatchObject({ code: 'ANSWER_LOST', message: expect.stringMatching(/^[^\r\n]*$/) as unknown })
  expect(asked).toHaveLength(1)
})

test.each<[sentence: string, body: object, location?: string]>([
  ['a path in the body', { image_id: '../../servers/x' }],
  ['a path in Location', {}, '/v2/images/..%2f..%2fx'],
  ['a whole URL in the body', { image_id: 'http://127.0.0.1/images/x' }],
  ['no id at all', {}],
  ['a list', { image_id: [id] }],
])('createImage that is answered with %s instead of an id may have made an image, and leads nowhere', async (_sentence, body, location) => {
  answer = (_, response) => void response.writeHead(202, { ...(location && { Location: location }) }).end(JSON.stringify(body))
  await expect((await enter()).compute.createImage(id, 'x', {})).rejects.toMatchObject({ code: 'ANSWER_LOST' })
  expect(asked).toEqual([`POST /v2.1/servers/${id}/action`])
})

test('an id goes into a path as one segment, whatever is in it', async () => {
  answer = (_, response) => void response.writeHead(404).end()
  const cloud = await enter()
  await cloud.image.getImage('a/../b?c#d')
  await cloud.image.deleteImage('a/b')
  await cloud.blockStorage.deleteSnapshot('a/b')
  await cloud.compute.getServer('a/b')
  expect(asked).toEqual(['GET /v2/images/a%2F..%2Fb%3Fc%23d', 'DELETE /v2/images/a%2Fb', 'DELETE /v3/p/snapshots/a%2Fb', 'GET /v2.1/servers/a%2Fb'])
})

test.each<[sentence: string, body: string, said: string]>([
  ['lines of its own', JSON.stringify({ badRequest: { message: 'no\r\n{"level":"INFO","message":"good"}\r\n' } }), 'no {"level":"INFO","message":"good"}'],
  ['HTML with scripts', '<html><head><title>x</title></head><script>alert(1)</script><b>no</b></html>', 'no'],
  ['a megabyte of text', JSON.stringify({ error: { message: 'x'.repeat(megabyte) } }), `${'x'.repeat(299)}…`],
  ['a message that is none', JSON.stringify({ error: { message: { deep: ['x'] } } }), ''],
])('a refusal with %s becomes one short line', async (_sentence, body, said) => {
  answer = (_, response) => void response.writeHead(400).end(body)
  await expect((await enter()).compute.listServers()).rejects.toMatchObject({ code: 'BAD_REQUEST', answer: said })
})

const pem = (name: string) => readFileSync(new URL(`../support/tls/${name}.pem`, import.meta.url), 'utf8')

test.each<[sentence: string, certificate: string, cacert: string | undefined, problem: RegExp | undefined]>([
  ['whose authority is given', 'issued', 'authority', undefined],
  ['whose authority is one of several that are given', 'issued', 'stranger+authority', undefined],
  ['whose authority is not given', 'issued', undefined, /\(UNABLE_TO_VERIFY_LEAF_SIGNATURE: unable to verify the first certificate/],
  ['of another authority than the one that is given', 'issued', 'stranger', /\(UNABLE_TO_VERIFY_LEAF_SIGNATURE: unable to verify the first certificate/],
  ['for another host', 'elsewhere', 'authority', /\(ERR_TLS_CERT_ALTNAME_INVALID: .*IP: 127\.0\.0\.1 is not in the cert's list/],
  ['that has expired', 'expired', 'authority', /\((CERT_HAS_EXPIRED: certificate has expired|CERT_NOT_YET_VALID: )/],
])('a certificate %s', async (_sentence, certificate, cacert, problem) => {
  const secure = await startOpenStack({ tls: { key: pem('key'), cert: pem(certificate) } })
  try {
    const project = secure.addProject('alpha')
    const credential = secure.addApplicationCredential(secure.addUser('alice', 'p', { alpha: 'member' }), project, { secret: 'alpha-secret' })
    const trusted = cacert?.split('+').map(pem).join('\n')
    const entry = { auth: { auth_url: secure.authUrl, application_credential_id: credential.id, application_credential_secret: credential.secret }, region_name: 'RegionOne', cacert: trusted }
    const entering = connect(parseCloudConfig(JSON.stringify(entry), 'test'), { clock: () => new Date(), sleep: () => Promise.resolve() })
    if (problem) {
      await expect(entering).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE', message: expect.stringMatching(problem) as unknown })
      // Nothing was said to a stranger.
      expect(secure.requests).toEqual([])
    } else expect((await entering).project).toBe(project.id)
  } finally {
    await secure.close()
  }
})
