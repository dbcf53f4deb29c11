import { inspect } from 'node:util'
import type { World } from '../../demo/world.ts'

/** What the services of each world logged. */
const logs = new WeakMap<World, unknown[]>()

/** Has what is logged in a world searched by {@link leaksIn}: for whoever builds a service with a log of its own. */
export function watchLog(world: World, lines: unknown): void {
  logs.set(world, [...(logs.get(world) ?? []), lines])
}

/** @returns The secrets and tokens of a world that turned up in the log of any of its services, in an event or in a table, each with the place. */
export async function leaksIn(world: World): Promise<string[]> {
  const [runs, schedules] = await Promise.all([world.runs(), world.schedules()])
  return leaks({ log: logs.get(world), events: world.aws.events, 'runs table': runs, 'schedules table': schedules }, world.secrets())
}

/** The same for what was written anywhere, errors with all that they carry. */
export function leaks(places: Readonly<Record<string, unknown>>, secrets: readonly string[]): string[] {
  return Object.entries(places).flatMap(([place, written]) => {
    const text = inspect(written, { depth: Infinity, showHidden: true, breakLength: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity })
    return secrets.filter((secret) => text.includes(secret)).map((secret) => `${secret} in the ${place}`)
  })
}
