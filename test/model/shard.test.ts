import { expect, test } from 'vitest'
import { parseShard, type Shard } from '../../lib/model/shard.ts'

const clock = new Date('2026-11-21T01:00:30Z')
const snapshot = { version: 1, kind: 'snapshot', cloud: 'default', now: '2026-11-21T01:00:00.000Z', shard: 1, of: 2, cadence: 'daily', starts: [{ schedule: 'web-1', servers: ['47c3f6b0-0000-4000-8000-000000000001'] }] }
const prune = { version: 1, kind: 'prune', cloud: 'default', now: '2026-11-21T01:00:00.000Z', shard: 2, of: 2, pruning: false }

test.each<[kind: string, message: object]>([['snapshot', snapshot], ['prune', prune]])('a %s shard that was sent is read as it was', (_kind, message) => {
  const shard = parseShard(JSON.stringify(message), clock)
  expect(shard).toEqual({ ...message, now: new Date('2026-11-21T01:00:00Z') })
  expect(parseShard(JSON.stringify(shard satisfies Shard), clock)).toEqual(shard)
})

test.each<[what: string, message: unknown, sentence: string]>([
  ['no JSON', 'hello', 'it is no JSON document; it begins with "hello"'],
  ['no object', [], 'Invalid input: expected object, received array'],
  ['no kind', {}, '"kind" is missing'],
  ['another kind', { ...prune, kind: 'settle' }, '"kind" is "settle": '],
  ['another version', { ...prune, version: 2 }, '"version" is 2: this release reads 1. Nothing of it is done.'],
  ['no version', { ...prune, version: undefined }, '"version" is missing: '],
  ['no cloud', { ...prune, cloud: undefined }, '"cloud" is missing: '],
  ['an unknown cadence', { ...snapshot, cadence: 'hourly' }, '"cadence" is "hourly": '],
  ['a cadence without turns', { ...snapshot, cadence: 'manual' }, '"cadence" is "manual": '],
  ['nothing to start', { ...snapshot, starts: [] }, '"starts" is []: '],
  ['a server that is no text', { ...snapshot, starts: [{ schedule: 'web-1', servers: [7] }] }, '"starts.0.servers.0" is 7: '],
  ['a field that is not known', { ...prune, force: true }, 'Unrecognized key: "force"'],
  ['a time that is none', { ...prune, now: 'yesterday' }, '"now" is "yesterday": '],
  ['a time of the future', { ...prune, now: '2026-11-21T02:00:00Z' }, '"now" is 2026-11-21T02:00:00.000Z: it must not be in the future'],
  ['a number beyond the last', { ...prune, shard: 3 }, '"shard" is 3: it must be at most "of", which is 2'],
  ['much text', { ...prune, cloud: { text: 'x'.repeat(1000) } }, `"cloud" is {"text":"${'x'.repeat(51)}…: `],
])('a message with %s is refused by name', (_what, message, sentence) => {
  const parse = () => parseShard(typeof message === 'string' ? message : JSON.stringify(message), clock)
  expect(parse).toThrow(expect.objectContaining({ code: 'SHARD_INVALID', message: expect.stringContaining(`A message of the shard queue cannot be read: ${sentence}`) }))
})

test('each fault of a message is told', () => {
  expect(() => parseShard(JSON.stringify({ ...prune, cloud: '', of: 0 }), clock)).toThrow(/"cloud" is "": .*; "of" is 0: .*\. Nothing of it is done\./)
})
