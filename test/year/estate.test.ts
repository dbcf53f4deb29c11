import { expect, test } from 'vitest'
import { timedCadences } from '../../lib/model/schedule.ts'
import { deeds, estateOf, halves, items, machines } from './estate.ts'

test('the estate has fifty schedules of all cadences in five zones', () => {
  expect(new Set(items.map(({ cadence, schedule }) => `${cadence}/${schedule}`)).size).toBe(50)
  expect(new Set(items.map(({ cadence }) => cadence))).toEqual(new Set(timedCadences))
  expect(new Set(items.map(({ timeZone }) => timeZone)).size).toBe(5)
})

test('the two halves of the estate are all of it', () => {
  const parts = halves.map(estateOf)
  expect(parts.flatMap((part) => part.items)).toHaveLength(items.length)
  expect(parts.flatMap((part) => part.machines)).toHaveLength(machines.length)
  expect(parts.flatMap((part) => part.deeds)).toHaveLength(deeds.length)
})
