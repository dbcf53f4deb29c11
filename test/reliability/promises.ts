import type { ImageSeen, ServerSeen } from '../../demo/openstack/simulator.ts'
import { dateOf, instantOf, retention, type Stage } from './stage.ts'

type Item = Readonly<Record<string, unknown>>

/**
 * Checks what the product promises against the world as it is at the end of a day, however many invocations died on the way.
 *
 * @returns a sentence for each promise that is broken.
 */
export async function brokenPromises({ world, servers, treasured, days }: Stage): Promise<string[]> {
  const { openstack, project } = world
  const broken: string[] = []
  const images = openstack.images().filter(({ owner }) => owner === project.id)
  const runs = await world.runs()
  const wanted = Array.from({ length: Math.min(days + 1, retention) }, (_, i) => dateOf(days - i)).toReversed()

  for (const server of servers) {
    const say = (what: string) => broken.push(`${server.name}: ${what}`)
    const own = images.filter((image) => isOf(server, image) && !treasured.some(({ id }) => id === image.id))
    const periods = own.map(({ properties }) => properties['scheduled_images__period'])
    if (JSON.stringify(periods) !== JSON.stringify(wanted)) say(`has images of ${periods.join(', ')}, where ${wanted.join(', ')} were promised`)
    for (const { id, status, properties, tags } of own) {
      if (status !== 'active') say(`image ${id} is ${status}`)
      if (properties['scheduled_images__image'] !== id || !tags.includes('scheduled-images')) say(`image ${id} is not sealed`)
    }
    const today = runs.filter((run) => run['server'] === server.id && run['period'] === dateOf(days))
    const newest = own.at(-1)
    if (today.length !== 1 || today[0]!['status'] !== 'good' || today[0]!['image'] !== newest?.id) say(`the runs table says ${JSON.stringify(today)}, and the newest image is ${newest?.id}`)
    for (const fault of faultsOfState(await stateOf(world, server), newest, days)) say(fault)
  }

  for (const image of treasured) {
    if (!same(images.find(({ id }) => id === image.id), image)) broken.push(`the image "${image.name}" of a person was touched`)
  }
  const named = images.map(({ properties }) => properties['block_device_mapping'] ?? '').join()
  for (const { id, name } of openstack.snapshots()) if (!named.includes(id)) broken.push(`volume snapshot "${name}" is in no image`)
  for (const run of runs) if ('inFlight' in run) broken.push(`not finished: ${JSON.stringify(run)}`)
  return broken
}

function isOf(server: ServerSeen, { properties }: ImageSeen): boolean {
  return properties['instance_uuid'] === server.id && 'scheduled_images__run' in properties
}

async function stateOf(world: Stage['world'], server: ServerSeen): Promise<Item> {
  const schedule = { 'web-1': server.id, 'db-1': 'database', 'old-1': 'old' }[server.name]!
  return ((await world.getSchedule('daily', schedule))?.['state'] ?? {}) as Item
}

/** `state` tells the truth: the newest good image, when the next one comes, and no problem. */
function faultsOfState(state: Item, newest: ImageSeen | undefined, day: number): string[] {
  const truth = {
    lastGood: { time: newest?.createdAt.toISOString(), period: dateOf(day), image: newest?.id },
    next: instantOf(day + 1, 60).toISOString(),
    problem: undefined,
  }
  const said = { lastGood: state['lastGood'], next: state['next'], problem: state['problem'] }
  const faults = Object.entries(truth).flatMap(([field, value]) => (same(said[field as keyof typeof said], value) ? [] : [`state.${field} says ${JSON.stringify(said[field as keyof typeof said])}, and the truth is ${JSON.stringify(value)}`]))
  const lastRun = state['lastRun'] as Item | undefined
  return lastRun?.['period'] === dateOf(day) ? faults : [...faults, `state.lastRun is of ${String(lastRun?.['period'])}`]
}

/** Whatever the order of a map's fields, which DynamoDB does not keep. */
function same(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown) => (typeof value === 'object' && value !== null ? JSON.stringify(Object.entries(value).toSorted()) : JSON.stringify(value))
  return sorted(a) === sorted(b)
}
