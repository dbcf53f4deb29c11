import { randomUUID } from 'node:crypto'
import type { Context } from 'aws-lambda'
import type { Consumer } from '../../demo/aws/queue.ts'
import type { World } from '../../demo/world.ts'
import { consumer } from '../../functions/consumer.ts'
import { timer } from '../../functions/timer.ts'
import type { LogFields } from '../../lib/runner/ports.ts'
import { wire, type Service } from '../../lib/wiring.ts'
import { Interposer, type Interposition } from './interposer.ts'

/** The functions that the timers invoke. */
export const functions = {
  snapshotDaily: (serve: () => Service) => timer((service, tick) => service.snapshot('daily', tick), serve),
  snapshotCustom: (serve: () => Service) => timer((service, tick) => service.snapshot('custom', tick), serve),
  prune: (serve: () => Service) => timer((service, tick) => service.prune(tick), serve),
}

export type FunctionName = keyof typeof functions

/** How long an invocation may take; serverless.yml says so. */
const mostMs: Readonly<Record<FunctionName | 'shard', number>> = { snapshotDaily: 900_000, snapshotCustom: 900_000, prune: 300_000, shard: 900_000 }

/** What processes logged. */
export type Said = { readonly level: string; readonly message: string; readonly fields: LogFields | undefined }[]

/** The lines that say `error`: a promise that is broken has usually been announced by one. */
export function errorsOf(said: Said): string[] {
  return said.filter(({ level }) => level === 'error').map(({ message, fields }) => `${message} ${String(fields?.['error'] ?? '')}`)
}

/**
 * Invokes a function in a process of its own: nothing is shared with another, as after a cold start, and each of its calls
 * goes through the interposition.
 *
 * @returns the promise of its end. It rejects when the invocation ends in error, which Lambda would invoke anew.
 */
export function invoke(name: FunctionName, world: World, at: Date, interposition: Interposition, said: Said = []): Promise<unknown> {
  const service = serviceOf(world, interposition, said)
  return Promise.resolve(functions[name](() => service)({ time: at.toISOString() }, contextOf(name, world)))
}

/** The same of the function `shard`, with a message of its queue. */
export function invokeShard(event: Parameters<Consumer>[0], world: World, interposition: Interposition, said: Said = []): ReturnType<Consumer> {
  const service = serviceOf(world, interposition, said)
  return consumer(() => service)(event, contextOf('shard', world))
}

function contextOf(name: FunctionName | 'shard', world: World): Context {
  const begun = world.clock().getTime()
  return { functionName: name, getRemainingTimeInMillis: () => begun + mostMs[name] - world.clock().getTime() } as Context
}

/** Where there is a shard queue, two servers fit a shard. */
function serviceOf(world: World, interposition: Interposition, said: Said): Service {
  const say = (level: string) => (message: string, fields?: LogFields) => {
    said.push({ level, message, fields })
  }
  return wire({
    env: world.env,
    clock: world.clock,
    newId: randomUUID,
    sleep: async (ms) => {
      const end = world.clock().getTime() + ms
      await interposition.wait?.(ms)
      if (world.clock().getTime() < end) world.setClock(new Date(end))
    },
    agent: new Interposer(interposition),
    log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
    metrics: { record: () => {} },
    shardServers: 2,
  })
}
