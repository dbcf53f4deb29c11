import fc from 'fast-check'
import { setImmediate } from 'node:timers/promises'
import { playCalmTick, playDay } from './day.ts'
import type { Interposition } from './interposer.ts'
import { invoke, type FunctionName, type Said } from './process.ts'
import { retention, setStage, weathers, type Stage, type Weather } from './stage.ts'

const names = fc.constantFrom<FunctionName>('snapshotDaily', 'snapshotCustom', 'prune')
/** Which functions are invoked at once, at each of the first ticks of a day. */
const crowds = fc.array(fc.array(names, { minLength: 2, maxLength: 4 }), { minLength: 3, maxLength: 3 })

/**
 * Invocations of the same and of different functions at once, on a day of their own: whichever call is carried out next, and
 * whichever answer arrives next, every promise is kept at the end of the day.
 */
export async function checkOverlaps(parameters: fc.Parameters<unknown>) {
  let stage: Stage | undefined
  const property = fc.asyncProperty(fc.scheduler(), crowds, fc.constantFrom(...weathers), async (scheduler, crowd, weather) => {
    stage ??= await calmStage()
    const { world } = stage
    const { broken, errors } = await playDay(stage, weather, (repair) => async (tick, at, said) => {
      if (crowd[tick] === undefined) return playCalmTick(stage!)(tick, at, said)
      await interleave(scheduler, crowd[tick], world, at, said)
      if (weather === 'glance is down') repair()
    })
    if (broken.length === 0) return
    // A replay begins with a world of its own.
    await world.close()
    stage = undefined
    throw new Error([...broken, ...errors].join('\n'))
  })
  try {
    return await fc.check(property, { endOnFailure: true, ...parameters } as fc.Parameters<[fc.Scheduler, FunctionName[][], Weather]>)
  } finally {
    await stage?.world.close()
  }
}

async function calmStage(): Promise<Stage> {
  const stage = await setStage(true)
  while (stage.days < retention) await playDay(stage, 'it is fair', () => playCalmTick(stage))
  return stage
}

/** Lets the scheduler choose, one at a time, which request goes out and which answer comes in. */
async function interleave(scheduler: fc.Scheduler, crowd: readonly FunctionName[], world: Stage['world'], at: Date, said: Said): Promise<void> {
  /** `waiting` to be chosen, `sent` and not answered, invocations that have `ended`, and how often any of it changed. */
  const seen = { waiting: 0, sent: 0, ended: 0, changes: 0 }
  const choose = async <Verdict>(what: string, verdict: Verdict): Promise<Verdict> => {
    seen.changes += 1
    seen.waiting += 1
    const chosen = await scheduler.schedule(Promise.resolve(verdict), what)
    seen.waiting -= 1
    return chosen
  }
  for (const [i, name] of crowd.entries()) {
    const who = `${name} ${i + 1}`
    const interposition: Interposition = {
      before: async ({ name: call }) => {
        const verdict = await choose(`${who} sends ${call}`, 'send' as const)
        seen.sent += 1
        return verdict
      },
      after: ({ name: call }) => {
        seen.sent -= 1
        return choose(`${who} hears of ${call}`, 'deliver' as const)
      },
      wait: (ms) => choose(`${who} has waited ${ms} ms`, undefined),
    }
    void invoke(name, world, at, interposition, said)
      .catch(() => {})
      .finally(() => {
        seen.ended += 1
        seen.changes += 1
      })
  }
  while (seen.ended < crowd.length) {
    // All that can move has moved before one is chosen, or the choice would be between few.
    for (let quiet = 0, before = -1; quiet < 4 || seen.sent > 0; quiet = seen.changes === before ? quiet + 1 : 0) {
      before = seen.changes
      await setImmediate()
    }
    if (seen.waiting > 0) await scheduler.waitNext(1)
  }
}
