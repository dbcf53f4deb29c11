import fc from 'fast-check'
import { beforeEach, expect, test, vi } from 'vitest'
import { day } from '../support/fixture.ts'
import { leaksIn } from '../support/secrecy.ts'
import { hostilities, spoiler } from './hostility.ts'
import { isGood } from './reckoning.ts'
import { setStage, type Stage } from './stage.ts'

/** How often the property is tried. */
const runs = Number(process.env['FUZZ_RUNS'] ?? 12)
/** An invocation's time, as Lambda gives it. */
const invocationMs = 300_000
/** While the cloud is hostile time runs this much faster, so that a request that hangs for 30 s takes 0.15 s. */
const haste = 200
/** A busy machine is late. */
const patienceMs = 3000

let pace = 1

beforeEach(() => {
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout(Math.ceil(ms / pace)))
})

/** One tick of the daily functions within their time. @returns what lasted for too long. */
async function tick({ service, world }: Stage, at: string): Promise<string[]> {
  world.setClock(at)
  const late: string[] = []
  for (const job of ['snapshot', 'prune'] as const) {
    const began = performance.now()
    const timed = { now: new Date(at), timeLeftMs: () => Math.floor(invocationMs - (performance.now() - began) * pace) }
    const done = job === 'snapshot' ? service.snapshot('daily', timed) : service.prune(timed)
    await done.finally(service.flush)
    const took = performance.now() - began
    if (took > invocationMs / pace + patienceMs) late.push(`${job} at ${at} took ${took} ms`)
  }
  return late
}

test('on an honest cloud the stage loses exactly what retention lets go, and a delete of anything else is seen', async () => {
  const stage = await setStage()
  try {
    for (const at of [day(6, '01:15:00'), day(6, '01:30:00')]) expect(await tick(stage, at)).toEqual([])
    const { proxy, world, treasures, crimes } = stage
    const names = world.openstack.images().flatMap(({ id, name }) => (Object.values(treasures).includes(id) ? [] : [name!.replace(/\d{10}/, '6')]))
    expect(names.toSorted()).toEqual(['Daily-db-6', 'Daily-shop-6', 'Daily-web-5', 'Daily-web-6', 'cirros-lab'])
    expect(crimes).toEqual([])
    for (const id of Object.values(treasures)) await fetch(`${proxy.url}/image/v2/images/${id}`, { method: 'DELETE' })
    const [snapshot] = world.openstack.snapshots()
    await fetch(`${proxy.url}/volume/v3/${world.project.id}/snapshots/${snapshot!.id}`, { method: 'DELETE' })
    expect(crimes).toHaveLength(7)
  } finally {
    await stage.close()
  }
})

/**
 * A lie that is well-formed and consistent cannot be told from the truth. So this cloud does not tell these:
 *
 * - of the catalog: it says where the cloud is, and is trusted;
 * - of images that are to be kept, in a listing: that one is newer or better than it is, or that there is one that there is
 *   not. Retention would let another go for it. That one is to go itself, it may well say: see `slanders`;
 * - of Cinder's snapshots, but by errors and broken answers.
 *
 * Everything else it may say, in any number: also that an image is gone, and that something was done that was not.
 */
test('whatever the cloud answers, nothing that must be kept is deleted, no time is overrun and nothing secret is told', async () => {
  await fc.assert(
    fc.asyncProperty(hostilities, async (theirs) => {
      const stage = await setStage()
      const { proxy, world, elsewhere, crimes, treasures, promises } = stage
      try {
        pace = haste
        proxy.spoil = spoiler(theirs, { elsewhere: elsewhere.url, slandered: Object.values(treasures) })
        const late: string[] = []
        for (const at of [day(6, '01:15:00'), day(6, '01:30:00'), day(7), day(7, '01:15:00')]) late.push(...(await tick(stage, at)))
        pace = 1
        proxy.spoil = () => undefined
        for (const at of [day(7, '02:30:00'), day(7, '06:00:00'), day(8), day(8, '01:15:00'), day(8, '01:30:00')]) late.push(...(await tick(stage, at)))

        expect(crimes).toEqual([])
        const images = world.openstack.images()
        expect(images.map(({ id }) => id)).toEqual(expect.arrayContaining(Object.values(treasures)))
        expect(late).toEqual([])
        expect(elsewhere.visitors).toBe(0)
        expect(await leaksIn(world)).toEqual([])
        for (const { schedule, retention } of promises) {
          const good = images.filter((image) => image.properties['scheduled_images__image'] === image.id && image.properties['scheduled_images__schedule'] === schedule && isGood(image, world.openstack))
          expect(good.length).toBeGreaterThanOrEqual(retention)
        }
      } finally {
        pace = 1
        await stage.close()
      }
    }),
    { numRuns: runs, interruptAfterTimeLimit: 5000 + runs * 1000, markInterruptAsFailure: false },
  )
}, 60_000 + runs * 3000)
