import { afterEach, beforeEach, expect, test } from 'vitest'
import { errorMessage } from '../../lib/openstack/error-body.ts'
import { day } from '../support/scene.ts'
import { leaksIn } from '../support/secrecy.ts'
import type { Answer, Spoiled } from './proxy.ts'
import { setStage, type Stage } from './stage.ts'

let stage: Stage
beforeEach(async () => {
  stage = await setStage()
})
afterEach(() => stage.close())

/** Each of these is a law that does not hold yet: whoever mends it takes the `fails` away. */

type Json = Record<string, unknown>

/** Changes the JSON of the answers to some requests, and nothing else. */
function lie(target: RegExp, change: (json: Json) => unknown): void {
  const answer = (truth: Answer) => ({ ...truth, body: JSON.stringify(change(JSON.parse(String(truth.body)) as Json)) })
  stage.proxy.spoil = ({ method, path }) => (target.test(`${method} ${path}`) ? { work: true, answer } : undefined)
}
const listing = /^GET \/image\/v2\/images\?/

test("a token that the cloud repeats in a refusal is not told on", async () => {
  stage.proxy.spoil = ({ path, headers }): Spoiled | undefined =>
    path.startsWith('/image') ? { work: false, answer: () => ({ status: 500, headers: {}, body: JSON.stringify({ message: `Could not find token: ${headers['x-auth-token'] as string}.` }) }) } : undefined
  await stage.service.pruneAt(day(6, '01:15:00'))
  expect(await leaksIn(stage.world)).toEqual([])
})

test("a secret that Keystone repeats in a refusal is not told on", async () => {
  stage.proxy.spoil = ({ path, body }): Spoiled | undefined =>
    path.startsWith('/identity') ? { work: false, answer: () => ({ status: 400, headers: {}, body: JSON.stringify({ error: { message: `Invalid: ${body}` } }) }) } : undefined
  await stage.service.pruneAt(day(6, '03:15:00'))
  expect(await leaksIn(stage.world)).toEqual([])
})

test('a Cinder listing that lacks snapshots is no proof that an image is broken', async () => {
  lie(/^GET \/volume/, (json) => ({ ...json, snapshots: [] }))
  await stage.service.pruneAt(day(6, '01:15:00'))
  expect(stage.crimes).toEqual([])
})

test.each(['deactivated', 'empty', 'newest'])('an image that the listing alone calls a good old one is looked at again: %s', async (what) => {
  const { treasures, service, world } = stage
  const id = treasures[what] ?? world.openstack.images().find(({ name }) => name === 'Daily-web-5')!.id
  lie(listing, (json) => {
    const images = json['images'] as Json[]
    return { ...json, images: images.map((image) => (image['id'] === id ? { ...image, status: 'active', size: 5, created_at: '2020-01-01T00:00:00Z' } : image)) }
  })
  await service.pruneAt(day(6, '01:15:00'))
  expect(stage.crimes).toEqual([])
})

test('a listing that does not say whether images are protected is not understood', async () => {
  lie(listing, (json) => ({ ...json, images: (json['images'] as Json[]).map(({ protected: _protected, ...image }) => image) }))
  expect(await stage.service.pruneAt(day(6, '01:15:00'))).toMatchObject({ unreachable: 1, good: 0 })
})

test('a server that does not say what it is doing is not taken for idle', async () => {
  const { world, service } = stage
  const slow = world.openstack.addServer(world.project, { name: 'slow', metadata: { lab_delay: '86400' } })
  await world.putSchedule({ cadence: 'daily', schedule: 'slow', server: slow.id, retention: 1, spread: 0, onEnable: 'now' })
  await service.snapshotAt('daily', day(6, '01:05:00'))
  lie(/^GET \/compute\S*\/servers\/[^/?]+$/, ({ server }) => {
    const { 'OS-EXT-STS:task_state': _task, ...rest } = server as Json
    return { server: rest }
  })
  await service.pruneAt(day(6, '09:00:00'))
  expect(stage.crimes).toEqual([])
})

test('a size below nothing is no size', async () => {
  lie(listing, (json) => ({ ...json, images: (json['images'] as Json[]).map((image) => ({ ...image, size: -1 })) }))
  expect(await stage.service.pruneAt(day(6, '01:15:00'))).toMatchObject({ unreachable: 1, deleted: 0 })
})

test('a token whose end is no date is not asked for anew with each request', async () => {
  lie(/^POST \/identity/, ({ token }) => ({ token: { ...(token as Json), expires_at: 'some day' } }))
  await stage.service.pruneAt(day(6, '03:15:00'))
  expect(stage.proxy.visits.filter(({ method, path }) => method === 'POST' && path.startsWith('/identity')).length).toBeLessThanOrEqual(3)
})

test('a server whose id is no id does not keep others from their image', async () => {
  const { world, service } = stage
  await world.putSchedule({ cadence: 'daily', schedule: 'by-name', server: 'slow', retention: 1, spread: 0, onEnable: 'now' })
  world.openstack.addServer(world.project, { name: 'slow' })
  lie(/servers\/detail/, (json) => ({ ...json, servers: (json['servers'] as Json[]).map((server) => (server['name'] === 'slow' ? { ...server, id: '' } : server)) }))
  expect(await service.snapshotAt('daily', day(7))).toMatchObject({ faults: 0 })
})

test.each([['<', 20_000], ['<script ', 6000]])('a refusal of "%s", %i times, is read in no time', (text, times) => {
  const began = performance.now()
  errorMessage(text.repeat(times))
  expect(performance.now() - began).toBeLessThan(200)
})

test("a name that HTML does not know stays as it is", () => {
  expect(errorMessage('<b>&constructor;</b>')).toBe('&constructor;')
})
