import type { ImageSeen } from '../../demo/openstack/simulator.ts'
import { instantOf, periodOf, retention, type Scheduled, type Stage } from './stage.ts'

type Item = Readonly<Record<string, unknown>>

/**
 * Checks what the product promises against the world as it is at the end of a day, however many invocations died on the way.
 *
 * @returns a sentence for each promise that is broken.
 */
export async function brokenPromises(stage: Stage): Promise<string[]> {
  const { world, scheduled, treasured, days } = stage
  const { openstack, project } = world
  const broken: string[] = []
  const images = openstack.images().filter(({ owner }) => owner === project.id)
  const servers = openstack.servers()
  const runs = await world.runs()
  const today = new Map<string, ImageSeen[]>()

  for (const each of scheduled) {
    const { server, schedule } = each
    const say = (what: string) => broken.push(`${server.name}: ${what}`)
    const wanted = Array.from({ length: Math.min(days + 1, retention) }, (_, i) => periodOf(each, days - i)).toReversed()
    const own = images.filter((image) => isOf(each, image) && !treasured.some(({ id }) => id === image.id))
    const periods = own.map(({ properties }) => properties['scheduled_images__period'])
    if (JSON.stringify(periods) !== JSON.stringify(wanted)) say(`has images of ${periods.join(', ')}, where ${wanted.join(', ')} were promised`)
    for (const image of own) for (const fault of faultsOfImage(image, each, stage)) say(`image ${image.id} ${fault}`)
    const theirs = runs.filter((run) => run['server'] === server.id && run['run'] === `${periodOf(each, days)}#${schedule}`)
    const newest = own.at(-1)
    if (theirs.length !== 1 || theirs[0]!['status'] !== 'good' || theirs[0]!['image'] !== newest?.id) say(`the runs table says ${JSON.stringify(theirs)}, and the newest image is ${newest?.id}`)
    if (newest) today.set(schedule, [...(today.get(schedule) ?? []), newest])
    const now = servers.find(({ id }) => id === server.id)
    if (now?.status !== server.status || now.taskState !== null) say(`was ${server.status}, and is ${now?.status} ${now?.taskState}`)
  }
  for (const schedule of new Set(scheduled.map((each) => each.schedule))) {
    const [cadence, name] = schedule.split('/') as [string, string]
    const state = ((await world.getSchedule(cadence, name))?.['state'] ?? {}) as Item
    for (const fault of faultsOfState(state, today.get(schedule) ?? [], days, periodOf({ schedule }, days))) broken.push(`${schedule}: ${fault}`)
  }

  for (const image of treasured) {
    if (!same(images.find(({ id }) => id === image.id), image)) broken.push(`the image "${image.name}" of a person was touched`)
  }
  const named = images.map(({ properties }) => properties['block_device_mapping'] ?? '').join()
  for (const { id, name } of openstack.snapshots()) if (!named.includes(id)) broken.push(`volume snapshot "${name}" is in no image`)
  for (const run of runs) if ('inFlight' in run) broken.push(`not finished: ${JSON.stringify(run)}`)
  return broken
}

function isOf({ server, schedule }: Scheduled, { properties }: ImageSeen): boolean {
  return properties['instance_uuid'] === server.id && properties['scheduled_images__schedule'] === schedule
}

function faultsOfImage({ id, status, properties, tags, visibility, members }: ImageSeen, { shared: isShared }: Scheduled, { partner }: Stage): string[] {
  const shared = [visibility, ...Object.keys(members)].join(' ')
  const promised = isShared ? `shared ${partner}` : 'private'
  return [
    ...(status === 'active' ? [] : [`is ${status}`]),
    ...(properties['scheduled_images__image'] === id && tags.includes('scheduled-images') ? [] : ['is not sealed']),
    ...(shared === promised ? [] : [`is ${shared}, where ${promised} was promised`]),
  ]
}

/** `state` tells the truth: a good image of the day, when the next one comes, and no problem. */
function faultsOfState(state: Item, today: readonly ImageSeen[], day: number, period: string): string[] {
  const lastGood = state['lastGood'] as Item | undefined
  const image = today.find(({ id }) => id === lastGood?.['image']) ?? today[0]
  const truth = {
    lastGood: { time: image?.createdAt.toISOString(), period, image: image?.id },
    next: instantOf(day + 1, 60).toISOString(),
    problem: undefined,
  }
  const said = { lastGood, next: state['next'], problem: state['problem'] }
  const faults = Object.entries(truth).flatMap(([field, value]) => (same(said[field as keyof typeof said], value) ? [] : [`state.${field} says ${JSON.stringify(said[field as keyof typeof said])}, and the truth is ${JSON.stringify(value)}`]))
  const lastRun = state['lastRun'] as Item | undefined
  return lastRun?.['period'] === period ? faults : [...faults, `state.lastRun is of ${String(lastRun?.['period'])}`]
}

/** Whatever the order of a map's fields, which DynamoDB does not keep. */
function same(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown) => (typeof value === 'object' && value !== null ? JSON.stringify(Object.entries(value).toSorted()) : JSON.stringify(value))
  return sorted(a) === sorted(b)
}
