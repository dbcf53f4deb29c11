import { expect } from 'vitest'
import { marks } from '../../lib/model/image.ts'
import { readClocks } from './clocks.ts'
import { estateOf, isIn, silences, span, timeZones, type Deed } from './estate.ts'
import { Expectation } from './expectation.ts'
import { World } from './world.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Plays the year in some clouds of the estate, and fails at the first day that has other images than the calendar and the keep rules demand. */
export async function playYear(names: readonly string[]): Promise<void> {
  const { machines, items, deeds } = estateOf(names)
  const [from, to] = [new Date(span.from), new Date(span.to)]
  // A schedule that is to run at once runs for a turn that may lie two months back.
  const clocks = new Map(timeZones.map((zone) => [zone, readClocks(zone, new Date(from.getTime() - 60 * dayMs), new Date(to.getTime() + 2 * dayMs))]))
  const expectation = new Expectation(clocks)
  const world = new World(names)
  const pending: Deed[] = [...items.map((put) => ({ at: span.from, put })), ...machines.map((boot) => ({ at: span.from, boot })), ...deeds]
  const schedules = pending.flatMap((deed) => ('put' in deed ? [`${deed.put.cadence}/${deed.put.schedule}`] : []))
  let ticks = 0
  for (let now = from; now < to; now = new Date(now.getTime() + hourMs)) {
    world.passTo(now)
    while (pending.length > 0 && Date.parse(pending[0]!.at) <= now.getTime()) {
      const deed = pending.shift()!
      world.hear(deed)
      expectation.hear(deed)
    }
    if (!silences.some((silence) => isIn(silence, now))) {
      const faults = await world.tick(now)
      if (faults > 0) expect.fail(`${faults} faults at ${now.toISOString()}; the last is ${JSON.stringify(world.errors.at(-1))}`)
      expectation.tick(now)
      ticks += 1
    }
    if (now.getUTCHours() === 23) agree(now, world, expectation)
  }
  expect(ticks).toBeGreaterThan(8760)

  const made = world.images().map(({ id, properties, createdAt }) => [properties[marks.schedule], properties[marks.server], properties[marks.period], createdAt, properties[marks.seal] === id])
  const demanded = expectation.images().map(({ schedule, machine, period, madeAt, good }) => [schedule, machine.id, period, madeAt, good])
  expect(made.map(String).toSorted()).toEqual(demanded.map(String).toSorted())

  const good = world.events.filter(({ type }) => type === 'Scheduled Image Good')
  expect(good).toHaveLength(expectation.good)
  expect([...new Set(good.map((event) => 'schedule' in event && event.schedule))].toSorted()).toEqual(schedules.toSorted())
  expect(world.events.filter(({ type }) => type === 'Scheduled Images Refused')).toEqual([])
  expect(await world.leftovers()).toEqual([])
}

/** Fails with each schedule and server whose images are not of the periods that they should be of. */
function agree(now: Date, world: World, expectation: Expectation): void {
  const found = Map.groupBy(world.images(), ({ properties }) => `${properties[marks.schedule]} of ${properties[marks.server]}`)
  const expected = Map.groupBy(expectation.images(), ({ schedule, machine }) => `${schedule} of ${machine.id}`)
  const differences = [...new Set([...found.keys(), ...expected.keys()])].flatMap((key) => {
    const demanded = (expected.get(key) ?? []).map(({ period }) => period).toSorted().join(', ') || 'none'
    const present = (found.get(key) ?? []).map(({ properties }) => properties[marks.period]).toSorted().join(', ') || 'none'
    return demanded === present ? [] : [`${key}: expected ${demanded}; found ${present}`]
  })
  if (differences.length > 0) expect.fail([`after the ticks of ${now.toISOString().slice(0, 10)}:`, ...differences].join('\n'))
}
