import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cut, isInSlice, partOf, sliceServers } from '../../lib/planner/slices.ts'
import { id } from '../support/builders.ts'

test.each<[sentence: string, given: [servers: number, most: number, maxDeletes: number], of: number]>([
  ['one more than fits one makes two', [201, 200, 100], 2],
  ['what fits exactly needs no more', [400, 200, 100], 2],
  ['each can delete something', [2000, 200, 3], 3],
  ['where nothing may be deleted, that is no reason for fewer', [2000, 200, 0], 10],
])('slices: %s', (_sentence, given, of) => {
  expect(sliceServers(...given)).toEqual(Array.from({ length: of }, (_, i) => ({ shard: i + 1, of })))
})

test('every server is in exactly one slice', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 300 }), fc.nat(200), (server, servers, most, maxDeletes) => {
      expect(sliceServers(servers, most, maxDeletes).filter((slice) => isInSlice(server, slice))).toHaveLength(1)
    }),
  )
})

test('slices are of about the same size', () => {
  const servers = Array.from({ length: 5000 }, (_, n) => id(n))
  for (const slice of sliceServers(servers.length, 200, 100)) {
    const size = servers.filter((server) => isInSlice(server, slice)).length
    expect(size).toBeGreaterThan(140)
    expect(size).toBeLessThan(260)
  }
})

test('the parts of all slices add up to the whole, and differ by one at most', () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 500 }), (total, of) => {
      const parts = Array.from({ length: of }, (_, i) => partOf(total, { shard: i + 1, of }))
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total)
      expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1)
    }),
  )
})

test('a list is cut in its order, into pieces of at most the size', () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: 20 }), (list, most) => {
      const pieces = cut(list, most)
      expect(pieces.flat()).toEqual(list)
      for (const [i, piece] of pieces.entries()) {
        if (i < pieces.length - 1) expect(piece).toHaveLength(most)
        else expect(piece.length).toBeLessThanOrEqual(most)
      }
    }),
  )
})
