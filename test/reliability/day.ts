import { leaks } from '../support/secrecy.ts'
import type { Interposition } from './interposer.ts'
import { errorsOf, invoke, invokeShard, type Said } from './process.ts'
import { brokenPromises } from './promises.ts'
import { dateOf, instantOf, spoil, type Stage, type Weather } from './stage.ts'

/** Minutes of the day at which the timers fire first. */
const firstTick = 60
const tickMinutes = 15
/** What follows what is begun, settled and deleted is idle. */
const fewestTicks = 3
/** A day must be calm long before its end. */
const mostTicks = 40

/** What a day brought. */
export interface DayPlayed {
  /** A sentence for each promise that is broken at its end. */
  readonly broken: readonly string[]
  /** The errors that were logged. */
  readonly errors: readonly string[]
}

/** How the invocations of one tick go. */
export type PlayTick = (tick: number, at: Date, said: Said) => Promise<void>

/**
 * Plays one day: the timers fire every quarter of an hour until all is calm, and then the promises are checked.
 *
 * @param weather - What goes wrong with the first attempts; it is repaired by `play` in the first tick, or after it.
 */
export async function playDay(stage: Stage, weather: Weather, play: (repair: () => void) => PlayTick): Promise<DayPlayed> {
  const { world, days } = stage
  const said: Said = []
  const repair = spoil(stage, weather)
  const playTick = play(repair)
  let broken: string[] = []
  for (let tick = 0; tick < mostTicks; tick += 1) {
    const at = instantOf(days, firstTick + tick * tickMinutes)
    if (world.clock() > at) throw new Error(`the invocations of a tick took until ${world.clock().toISOString()}`)
    world.setClock(at)
    await playTick(tick, at, said)
    repair()
    if (tick + 1 < fewestTicks) continue
    const unfinished = (await world.runs()).some((run) => 'inFlight' in run || (String(run['period']).startsWith(dateOf(days)) && run['status'] !== 'good'))
    if (unfinished && tick + 1 < mostTicks) continue
    broken = await brokenPromises(stage)
    if (broken.length === 0) break
  }
  stage.days += 1
  const leaked = leaks({ log: said, events: world.aws.events.splice(0) }, world.secrets())
  return { broken: [...broken, ...stage.witness.takeFaults(), ...leaked], errors: errorsOf(said) }
}

const undisturbed: Interposition = { before: () => Promise.resolve('send'), after: () => Promise.resolve('deliver') }

/** A tick as on most days: one function after the other, and what it has handed over, with nothing in between. */
export function playCalmTick({ world, functions }: Stage): PlayTick {
  return async (_tick, at, said) => {
    for (const name of functions) {
      await invoke(name, world, at, undisturbed, said).catch(() => {})
      await world.aws.queue.deliver((event) => invokeShard(event, world, undisturbed, said))
    }
  }
}
