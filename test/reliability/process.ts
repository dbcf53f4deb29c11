import { randomUUID } from 'node:crypto'
import type { Context } from 'aws-lambda'
import type { World } from '../../demo/world.ts'
import { timer } from '../../functions/timer.ts'
import { wire, type Service } from '../../lib/wiring.ts'
import { Interposer, type Interposition } from './interposer.ts'

/** The functions that the timers invoke. */
export const functions = {
  snapshotDaily: (serve: () => Service) => timer((service, tick) => service.snapshot('daily', tick), serve),
  snapshotWeekly: (serve: () => Service) => timer((service, tick) => service.snapshot('weekly', tick), serve),
  prune: (serve: () => Service) => timer((service, tick) => service.prune(tick), serve),
}

export type FunctionName = keyof typeof functions

/** Log lines that say `error`: a promise that is broken has usually been announced by one. */
export type Said = string[]

/**
 * Invokes a function in a process of its own: nothing is shared with another, as after a cold start, and each of its calls
 * goes through the interposition.
 *
 * @returns the promise of its end. It rejects when the invocation ends in error, which Lambda would invoke anew.
 */
export function invoke(name: FunctionName, world: World, at: Date, interposition: Interposition, said: Said = []): Promise<unknown> {
  const silent = () => {}
  const service = wire({
    env: world.env,
    clock: world.clock,
    newId: randomUUID,
    sleep: () => Promise.resolve(),
    agent: new Interposer(interposition),
    log: { debug: silent, info: silent, warn: silent, error: (message, fields) => said.push(`${message} ${String(fields?.['error'] ?? '')}`) },
    metrics: { count: silent },
  })
  const context = { functionName: name, getRemainingTimeInMillis: () => 120_000 } as Context
  return Promise.resolve(functions[name](() => service)({ time: at.toISOString() }, context))
}
