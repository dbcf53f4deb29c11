import fc from 'fast-check'
import { day } from '../support/scene.ts'
import { leaksIn } from '../support/secrecy.ts'
import { hostilities, spoiler } from './hostility.ts'
import { isGood } from './reckoning.ts'
import { setStage, type Stage } from './stage.ts'

/** An invocation's time, as Lambda gives it. */
const invocationMs = 300_000
/** While the cloud is hostile time runs this much faster, so that a request that hangs for 30 s takes 0.15 s. */
const haste = 200
/** A busy machine is late. */
const patienceMs = 3000

let pace = 1

/** Has time run faster while it works: for the timeouts of requests, and for the invocation. */
async function hastened(work: () => Promise<void>): Promise<void> {
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  AbortSignal.timeout = (ms) => timeout(Math.ceil(ms / haste))
  pace = haste
  try {
    await work()
  } finally {
    pace = 1
    AbortSignal.timeout = timeout
  }
}

/** One tick of the daily functions within their time. @returns what lasted for too long. */
export async function tick({ service, world }: Stage, at: string): Promise<string[]> {
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

/**
 * Whatever the cloud answers, nothing that must be kept is deleted, no time is overrun and nothing secret is told.
 *
 * A lie that is well-formed and consistent cannot be told from the truth. So this cloud does not tell these:
 *
 * - of the catalog: it says where the cloud is, and is trusted;
 * - of images that are to be kept, in a listing: that one is newer or better than it is, or that there is one that there is
 *   not. Retention would let another go for it. That one is to go itself, it may well say: see `slanders`;
 * - of Cinder's snapshots, but by errors and broken answers.
 *
 * Everything else it may say, in any number: also that an image is gone, and that something was done that was not.
 *
 * @param onLie - Called after each cloud that was withstood.
 */
export function lies(onLie: () => void = () => {}) {
  return fc.asyncProperty(hostilities, async (theirs) => {
    const stage = await setStage()
    const { proxy, world, elsewhere, crimes, treasures, promises } = stage
    const faults: string[] = []
    try {
      await hastened(async () => {
        proxy.spoil = spoiler(theirs, { elsewhere: elsewhere.url, slandered: Object.values(treasures) })
        for (const at of [day(6, '01:15:00'), day(6, '01:30:00'), day(7), day(7, '01:15:00')]) faults.push(...(await tick(stage, at)))
      })
      proxy.spoil = () => undefined
      for (const at of [day(7, '02:30:00'), day(7, '06:00:00'), day(8), day(8, '01:15:00'), day(8, '01:30:00')]) faults.push(...(await tick(stage, at)))

      const images = world.openstack.images()
      faults.push(...crimes.map(String), ...(await leaksIn(world)).map(String))
      for (const [name, id] of Object.entries(treasures)) if (!images.some((image) => image.id === id)) faults.push(`${name} is gone`)
      if (elsewhere.visitors > 0) faults.push('a request went to another host')
      for (const { schedule, retention } of promises) {
        const good = images.filter((image) => image.properties['scheduled_images__image'] === image.id && image.properties['scheduled_images__schedule'] === schedule && isGood(image, world.openstack))
        if (good.length < retention) faults.push(`${schedule} has ${good.length} good images, where ${retention} were promised`)
      }
    } finally {
      await stage.close()
    }
    if (faults.length > 0) throw new Error(faults.join('\n'))
    onLie()
  })
}
