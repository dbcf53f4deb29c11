import { setImmediate } from 'node:timers/promises'
import { playCalmTick, playDay, type DayPlayed } from './day.ts'
import type { Interposition } from './interposer.ts'
import { invoke, invokeShard } from './process.ts'
import { retention, setStage, type Plans, type Stage, type Weather } from './stage.ts'

/** What happens at the chosen call: the process dies before or after it, the answer is lost, or the connection breaks before it is sent. */
export type Mishap = 'dies before' | 'dies after' | 'answer is lost' | 'is never sent'

export const mishaps: readonly Mishap[] = ['dies before', 'dies after', 'answer is lost', 'is never sent']

/** One crash point, and what came of it. */
export interface CrashPoint extends DayPlayed {
  /** Which call of the day, from 0. */
  readonly index: number
  /** The function and the call, for people. */
  readonly call: string
}

/**
 * Goes through the calls of one day, one by one, and has the mishap happen at each, a day for each; afterwards the timers
 * go on until all is calm, and the promises are checked. It ends when a day has no call of that number any more, so that
 * a call that is new is covered by itself.
 *
 * @param stride - Only every so-manieth call.
 * @param first - The first of them.
 */
export async function* crashPoints(weather: Weather, mishap: Mishap, plans: Plans = 'whole', stride = 1, first = 0): AsyncGenerator<CrashPoint> {
  const stage = await setStage(false, plans)
  try {
    // Then there are images beyond retention to delete.
    while (stage.days < retention) await playDay(stage, 'it is fair', () => playCalmTick(stage))
    for (let index = first; ; index += stride) {
      const played = await crash(stage, weather, mishap, index)
      if (played === undefined) return
      yield { index, ...played }
    }
  } finally {
    await stage.world.close()
  }
}

/** @returns undefined when the day had no call of that number. */
async function crash(stage: Stage, weather: Weather, mishap: Mishap, index: number): Promise<Omit<CrashPoint, 'index'> | undefined> {
  const { world } = stage
  let calls = 0
  let call: string | undefined
  const played = await playDay(stage, weather, (repair) => async (tick, at, said) => {
    const interpose = (name: string) => (death: Death): Interposition => {
      let struck: unknown
      return {
        before: (next) => {
          if (death.dead) return never()
          if (calls++ !== index) return Promise.resolve('send')
          call = `${name} at ${at.toISOString().slice(11, 16)}, ${next.name}`
          if (mishap === 'dies before') return death.die()
          if (mishap === 'is never sent') return Promise.resolve('reset')
          struck = next
          return Promise.resolve('send')
        },
        after: (answered) => {
          if (death.dead) return never()
          if (answered !== struck) return Promise.resolve('deliver')
          return mishap === 'answer is lost' ? Promise.resolve('lose') : death.die()
        },
        wait: () => (death.dead ? never() : Promise.resolve()),
      }
    }
    for (const name of stage.functions) {
      // An invocation that ends in error is a matter for the next tick.
      await live(interpose(name), (interposition) => invoke(name, world, at, interposition, said)).catch(() => {})
      await world.aws.queue.deliver((event) => live(interpose('shard'), (interposition) => invokeShard(event, world, interposition, said)))
      // Glance is needed by the next function; whether a snapshot fails shows only after it.
      if (tick === 0 && weather === 'glance is down') repair()
      world.setClock(new Date(world.clock().getTime() + 1000))
    }
  })
  return call === undefined ? undefined : { ...played, call }
}

interface Death {
  dead: boolean
  die(): Promise<never>
}

/**
 * Runs a process until it ends or dies. A dead one says nothing more to anybody.
 *
 * @returns the promise of its result. It rejects when it ended in error or died.
 */
async function live<Result>(make: (death: Death) => Interposition, run: (interposition: Interposition) => Promise<Result>): Promise<Result> {
  let died = () => {}
  const dying = new Promise<never>((_resolve, reject) => {
    died = () => reject(new Error('The process has died.'))
  })
  const death: Death = {
    dead: false,
    die: () => {
      death.dead = true
      died()
      return never()
    },
  }
  try {
    return await Promise.race([run(make(death)), dying])
  } finally {
    // What a dead process had sent at the same moment is carried out.
    if (death.dead) await setImmediate()
  }
}

function never(): Promise<never> {
  return new Promise(() => {})
}
