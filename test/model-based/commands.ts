import fc from 'fast-check'
import type { FaultRule, ImageSeen, ServerSeen } from '../../demo/openstack/simulator.ts'
import { snapshotsOf, type Item } from './oracle.ts'
import { regular, type Firing, type Stage } from './stage.ts'

/** Nothing is modelled beside the stage: whoever acts looks at what is there. */
export type Nothing = Record<string, never>
export type Command = fc.AsyncCommand<Nothing, Stage>

/** @returns what happened as a sentence, or undefined when there was nothing to do it to. */
type Act<Given> = (stage: Stage, given: Given) => Promise<string | undefined>

/** A command is printed by its name and what it was given, so that a shrunk history can be read and written by hand. */
function command<Given>(name: string, given: fc.Arbitrary<Given>, act: Act<Given>): fc.Arbitrary<Command> {
  return given.map((value) => ({
    check: () => true,
    run: async (_, stage) => {
      const told = await act(stage, value)
      if (told !== undefined) stage.tell(told)
      stage.oracle.conclude()
    },
    toString: () => `${name}(${value === undefined ? '' : fc.stringify(value)})`,
  }))
}

/** The newest as often as all others: what happens to one thing twice matters more than what happens to many once. */
const nth = fc.oneof(fc.constant(0), fc.nat(11))
const none = fc.constant(undefined)

/** The n-th of what there is, as often around as it takes; counted from the newest, since that is what most is about. */
function pick<Thing>(things: readonly Thing[], n: number): Thing | undefined {
  return things.at(-1 - (n % Math.max(1, things.length)))
}

function say(image: ImageSeen): string {
  return `${image.name} (${image.id.slice(0, 4)}, ${image.status})`
}

const manner = fc.oneof({ weight: 3, arbitrary: fc.constant<Firing['manner']>('in turn') }, fc.constantFrom<Firing['manner']>('twice', 'at once'))
const firing: fc.Arbitrary<Firing> = fc.record({
  functions: fc.oneof(fc.shuffledSubarray([...regular.functions], { minLength: 3 }), fc.shuffledSubarray([...regular.functions], { minLength: 1 })),
  manner,
  lateMinutes: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constantFrom(1, 9)),
  requests: fc.oneof({ weight: 4, arbitrary: fc.constant(Infinity) }, fc.integer({ min: 1, max: 12 })),
})

const hours = (count: number) => count * 60
const dayPasses = command('DayPasses', fc.constantFrom(1, 1, 1, 2, 3), async (stage, days) => {
  const end = new Date(stage.now.getTime() + days * 24 * 60 * 60_000)
  await stage.tickUntil(end)
  stage.world.setClock(end)
  return `${days} day(s) have passed`
})
const ticks = command('Ticks', fc.tuple(firing, fc.constantFrom(1, 1, 2, 4)), async (stage, [how, count]) => {
  for (let n = 0; n < count; n += 1) await stage.tickNext(how)
  return `the timers have fired ${count} time(s): ${how.functions.join(', ')} ${how.manner}, ${how.lateMinutes} min late, with time for ${how.requests} requests`
})
const timePasses = command('TimePasses', fc.constantFrom(hours(1), hours(3), hours(7), hours(25), hours(72)), async (stage, minutes) => {
  stage.pass(minutes)
  return `${minutes / 60} h have passed without timers`
})
/** On to the next start: what is done after it meets images that are being made. */
const startTime = fc.constantFrom('00:45', '01:15', '03:15', '23:30')
const untilStart = command('UntilStart', startTime, async (stage, time) => {
  await startAt(stage, time)
  return 'the timers have fired until now'
})

async function startAt(stage: Stage, time: string): Promise<void> {
  const today = new Date(`${stage.now.toISOString().slice(0, 10)}T${time}:00Z`)
  const at = today > stage.now ? today : new Date(today.getTime() + hours(24) * 60_000)
  await stage.tickUntil(new Date(at.getTime() - 1))
  await stage.tick(at, { ...regular, functions: ['daily', 'weekly'] })
}

const timing = fc.record({
  at: fc.constantFrom('01:00', '02:30', '23:30'),
  spread: fc.constantFrom(0, 0, 45),
  timeZone: fc.constantFrom('UTC', 'UTC', 'Europe/Stockholm', 'America/New_York'),
})
const weekday = fc.constantFrom('monday', 'Wednesday', 'friday', 'SATURDAY')
const addSchedule = command(
  'AddSchedule',
  fc.record({ cadence: fc.constantFrom('daily' as const, 'daily' as const, 'weekly' as const), name: fc.constantFrom('a', 'b', 'c'), server: nth, byName: fc.boolean(), retention: fc.integer({ min: 1, max: 3 }), timing, dayOfWeek: weekday }),
  async (stage, { cadence, name, server: n, byName, retention, timing, dayOfWeek }) => {
    const key = `${cadence}/${name}`
    const server = pick(stage.servers(), n)
    if (!server || stage.oracle.items.has(key)) return undefined
    await stage.put(key, { cadence, name, server: byName ? { name: server.name } : { id: server.id }, retention, enabled: true, ...timing, ...(cadence === 'weekly' && { dayOfWeek }) })
    return `${key} is added for ${server.name}${byName ? ', by its name' : ''}: ${retention} images, ${JSON.stringify(timing)} ${cadence === 'weekly' ? dayOfWeek : ''}`
  },
)

type Edit = (item: Item, stage: Stage) => Partial<Item>
const edits: Record<string, Edit> = {
  'keeps fewer': ({ retention }) => ({ retention: Math.max(1, retention - 1) }),
  'keeps 1': () => ({ retention: 1 }),
  'keeps more': ({ retention }) => ({ retention: retention + 1 }),
  'is at 01:00': () => ({ at: '01:00' }),
  'is at 23:30': () => ({ at: '23:30' }),
  'is spread': () => ({ spread: 45 }),
  'is not spread': () => ({ spread: 0 }),
  'is in New York': () => ({ timeZone: 'America/New_York' }),
  'is in UTC': () => ({ timeZone: 'UTC' }),
  'is on another day': ({ cadence }) => (cadence === 'weekly' ? { dayOfWeek: 'Thursday' } : {}),
  'is turned off': () => ({ enabled: false }),
  'is turned on': () => ({ enabled: true }),
  'stops its server': () => ({ consistency: 'stopped' }),
  'is live': () => ({ consistency: 'live' }),
  'is shared with one': (_item, { partners }) => ({ shareWith: partners.slice(0, 1) }),
  'is shared with two': (_item, { partners }) => ({ shareWith: partners }),
  'is shared with another': (_item, { partners }) => ({ shareWith: partners.slice(1) }),
  'is shared with nobody': () => ({ shareWith: [] }),
  'is broken': () => ({ broken: true }),
  'is mended': () => ({ broken: false }),
  'adopts what was deleted': (item, { oracle }) => {
    const adopts = [...new Set([...oracle.made.values()].map(({ schedule }) => schedule))].filter((key) => !oracle.items.has(key))
    // What an item by name adopts depends on what it ran for last.
    return 'id' in item.server ? { adopts } : {}
  },
}
const editSchedule = command('EditSchedule', fc.tuple(nth, fc.constantFrom(...Object.keys(edits))), async (stage, [n, how]) => {
  const [key, item] = pick([...stage.oracle.items], n) ?? []
  if (!key || !item) return undefined
  const change = edits[how]!(item, stage)
  await stage.put(key, { ...item, ...change })
  return `${key} ${how}: ${JSON.stringify(change)}`
})
const deleteSchedule = command('DeleteSchedule', nth, async (stage, n) => {
  const [key] = pick([...stage.oracle.items], n) ?? []
  if (key) await stage.put(key, undefined)
  return key && `${key} is deleted`
})

const createServer = command(
  'CreateServer',
  fc.record({ name: fc.constantFrom('web', 'db', 'shop'), volumeBacked: fc.boolean(), dataVolumes: fc.constantFrom(0, 0, 1), status: fc.constantFrom('ACTIVE', 'ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR') }),
  async (stage, seed) => {
    if (stage.servers().length >= 6) return undefined
    const { id } = stage.world.openstack.addServer(stage.world.project, seed)
    return `server ${seed.name} (${id.slice(0, 4)}) is created: ${JSON.stringify(seed)}`
  },
)
const deleteServer = command('DeleteServer', nth, async (stage, n) => {
  const server = pick(stage.servers(), n)
  if (!server) return undefined
  const { status } = await stage.asPerson((person) => person.deleteServer(server.id))
  return `server ${server.name} (${server.id.slice(0, 4)}) is deleted: ${status}`
})
const changeServer = command('ChangeServer', fc.tuple(nth, fc.constantFrom('ACTIVE', 'SHUTOFF', 'ERROR')), async (stage, [n, status]) => {
  const server = pick(stage.servers(), n)
  if (!server || server.status.startsWith('SHELVED') || server.status === 'BUILD') return undefined
  stage.world.openstack.setServer(server.id, { status })
  stage.oracle.power.meddle(server.id)
  return `server ${server.name} is ${status} now`
})
/** A restored server's own images inherit the marks of ours. */
const restoreServer = command('RestoreServer', fc.tuple(nth, fc.constantFrom('restored', 'web'), fc.boolean()), async (stage, [n, name, drill]) => {
  const image = pick(stage.ours(), n)
  if (!image || stage.servers().length >= 6) return undefined
  const { status } = await stage.asPerson((person) => person.boot(name, image.id, snapshotsOf(image).length > 0))
  stage.pass(1)
  if (drill) await makeImage(stage, stage.servers().at(-1)!)
  return `server ${name} is booted from ${say(image)}: ${status}${drill ? ', and a person makes an image of the newest server' : ''}`
})
const act = (name: string, arbitrary: fc.Arbitrary<[number, string]>) =>
  command(name, arbitrary, async (stage, [n, action]) => {
    const server = pick(stage.servers(), n)
    if (!server) return undefined
    stage.oracle.power.meddle(server.id)
    const { status } = await stage.asPerson((person) => person.act(server.id, { [action]: null }))
    return `${action} of server ${server.name} (${server.id.slice(0, 4)}): ${status}`
  })
const shelve = act('Shelve', fc.tuple(nth, fc.constantFrom('shelve', 'unshelve', 'unshelve')))
const power = act('Power', fc.tuple(nth, fc.constantFrom('os-stop', 'os-start', 'os-stop', 'os-start', 'pause', 'unpause')))
const rebuild = command('Rebuild', fc.tuple(nth, nth, fc.boolean()), async (stage, [n, m, drill]) => {
  const [server, image] = [pick(stage.servers(), n), pick(stage.ours(), m)]
  if (!server || !image) return undefined
  stage.oracle.power.meddle(server.id)
  const { status } = await stage.asPerson((person) => person.act(server.id, { rebuild: { imageRef: image.id } }))
  stage.pass(1)
  if (drill) await makeImage(stage, server)
  return `server ${server.name} (${server.id.slice(0, 4)}) is rebuilt from ${say(image)}: ${status}${drill ? ', and a person makes an image of it' : ''}`
})
const personSnapshots = command('PersonSnapshots', nth, async (stage, n) => {
  const server = pick(stage.servers(), n)
  return server && `a person makes an image of server ${server.name} (${server.id.slice(0, 4)}): ${await makeImage(stage, server)}`
})

async function makeImage(stage: Stage, { id, name }: ServerSeen): Promise<number> {
  const { status } = await stage.asPerson((person) => person.act(id, { createImage: { name: `by hand of ${name}` } }))
  return status
}

/** What people do to an image. */
const deeds = {
  protect: (stage: Stage, id: string) => stage.person.patchImage(id, { op: 'replace', path: '/protected', value: true }),
  unprotect: (stage: Stage, id: string) => stage.person.patchImage(id, { op: 'replace', path: '/protected', value: false }),
  unmark: (stage: Stage, id: string) => stage.person.patchImage(id, { op: 'remove', path: '/org.openstack__1__created_by' }),
  hide: (stage: Stage, id: string) => stage.person.patchImage(id, { op: 'replace', path: '/os_hidden', value: true }),
  show: (stage: Stage, id: string) => stage.person.patchImage(id, { op: 'replace', path: '/os_hidden', value: false }),
  deactivate: (stage: Stage, id: string) => stage.person.switchImage(id, 'deactivate'),
  reactivate: (stage: Stage, id: string) => stage.person.switchImage(id, 'reactivate'),
  delete: (stage: Stage, id: string) => stage.person.deleteImage(id),
}
type Deed = keyof typeof deeds

async function perform(stage: Stage, image: ImageSeen, deed: Deed): Promise<string> {
  stage.oracle.meddle(image.id, deed === 'deactivate')
  const { status } = await stage.asPerson(() => deeds[deed](stage, image.id))
  return `a person will ${deed} ${say(image)}: ${status}`
}

const touch = (name: string, deed: fc.Arbitrary<Deed>) =>
  command(name, fc.tuple(nth, deed), async (stage, [n, what]) => {
    const image = pick(stage.ours(), n)
    return image && perform(stage, image, what)
  })
const keepImage = touch('KeepImage', fc.constantFrom<Deed>('protect', 'unmark', 'hide', 'protect', 'unprotect', 'show'))
const breakImage = touch('BreakImage', fc.constantFrom<Deed>('deactivate', 'reactivate', 'delete'))
const copyImage = command('CopyImage', fc.tuple(nth, fc.boolean()), async (stage, [n, unmarked]) => {
  const image = pick(stage.ours().filter((one) => snapshotsOf(one).length > 0), n)
  if (!image) return undefined
  await stage.asPerson((person) => person.copyImage(image.id, unmarked))
  return `a person copies ${say(image)} with all its properties${unmarked ? ' but our mark' : ''}`
})
const deleteVolumeSnapshot = command('PersonDeletesVolumeSnapshot', nth, async (stage, n) => {
  const snapshot = pick(stage.world.openstack.snapshots(), n)
  if (!snapshot) return undefined
  for (const image of stage.ours()) if (snapshotsOf(image).includes(snapshot.id)) stage.oracle.meddle(image.id, true)
  const { status } = await stage.asPerson((person) => person.deleteVolumeSnapshot(snapshot.id))
  return `a person deletes volume snapshot ${snapshot.id.slice(0, 4)} (${snapshot.name}): ${status}`
})
/** A person is quicker than prune: what it was listed is no longer so when it comes to the delete. */
const pruneOnStaleListing = command('PruneOnStaleListing', fc.tuple(nth, fc.constantFrom<Deed>('protect', 'unmark', 'hide', 'deactivate', 'delete'), startTime), async (stage, [n, deed, time]) => {
  await startAt(stage, time)
  const at = new Date((Math.floor(stage.now.getTime() / 900_000) + 1) * 900_000)
  stage.world.setClock(at)
  const images = stage.ours()
  const image = images[n % Math.max(1, images.length)]
  if (!image) return undefined
  const listed = await stage.asPerson((person) => person.listImages())
  const stale = stage.oracle.look()
  const told = await perform(stage, image, deed)
  const lift = stage.world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, times: 1, then: { body: listed } })
  stage.oracle.stale = stale
  try {
    await stage.tick(at, { ...regular, functions: ['prune'] })
  } finally {
    lift()
  }
  return `${told}, just after prune has listed it`
})

const snapshotsFail = command('SnapshotsFail', fc.tuple(nth, fc.constantFrom('snapshot', 'upload', 'queued', 'slow', 'very slow')), async (stage, [n, how]) => {
  const server = pick(stage.servers(), n)
  if (!server) return undefined
  const { openstack } = stage.world
  const delay = how === 'slow' ? String(3 * 3600) : String(30 * 3600)
  const fails = how.endsWith('slow') ? { lab_upload: delay } : { lab_fail: how }
  openstack.setServer(server.id, { metadata: fails })
  for (const id of server.volumeIds) {
    openstack.setVolume(id, { metadata: how.endsWith('slow') ? { lab_delay: delay } : { lab_fail: how === 'upload' ? 'delete_snapshot' : 'snapshot' } })
  }
  return `snapshots of server ${server.name} (${server.id.slice(0, 4)}) go wrong from now on: ${how}`
})
const snapshotsWork = command('SnapshotsWork', none, async (stage) => {
  mendStorage(stage)
  return 'the storage is repaired'
})

/** What lies below all servers works again. */
export function mendStorage({ world: { openstack } }: Stage): void {
  for (const { id } of openstack.servers()) openstack.setServer(id, { metadata: {} })
  for (const { id } of openstack.volumes()) openstack.setVolume(id, { metadata: {} })
}

const effects: FaultRule['then'][] = ['reset', 'lose-answer', { status: 500 }, { status: 503 }, { status: 403 }, { status: 409 }, { status: 401 }, { body: '<html>oops' }]
const failure = fc.record({
  rule: fc.record(
    {
      service: fc.constantFrom<NonNullable<FaultRule['service']>>('identity', 'compute', 'image', 'image', 'block-storage'),
      method: fc.constantFrom('GET', 'POST', 'PATCH', 'DELETE'),
      after: fc.constantFrom(0, 0, 1, 3),
      times: fc.constantFrom(1, 1, 2, 5, 20),
      then: fc.constantFrom(...effects),
    },
    { requiredKeys: ['service', 'after', 'then'] },
  ),
})
const cloudFails = command('CloudFails', failure, async (stage, { rule }) => {
  stage.break(rule)
  return `the cloud fails: ${JSON.stringify(rule)}`
})
const answerIsLost = command('AnswerIsLost', fc.constantFrom<FaultRule['then']>('reset', 'lose-answer', { status: 500 }), async (stage, then) => {
  stage.break({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then })
  return `the next createImage has no answer: ${JSON.stringify(then)}`
})
const cloudRecovers = command('CloudRecovers', none, async (stage) => {
  stage.repair()
  stage.world.openstack.setQuotas(stage.world.project, { imageQuota: Infinity, snapshotQuota: Infinity })
  return 'the cloud has recovered'
})
const quotaChanges = command('QuotaChanges', fc.record({ images: fc.boolean(), room: fc.nat(1) }), async (stage, { images, room }) => {
  const quotas = images ? { imageQuota: stage.images().length + room } : { snapshotQuota: stage.world.openstack.snapshots().length + room }
  stage.world.openstack.setQuotas(stage.world.project, quotas)
  return `the quota is ${JSON.stringify(quotas)}`
})
const eventsFail = command('EventsFail', none, async ({ world }) => {
  world.aws.eventsFail = true
  return 'events cannot be sent'
})

/** Everything that can happen. What is named more often happens more often. */
export const commands: fc.Arbitrary<Command>[] = [
  dayPasses, dayPasses, dayPasses, dayPasses, ticks, ticks, ticks, timePasses, untilStart, untilStart,
  addSchedule, addSchedule, editSchedule, editSchedule, editSchedule, deleteSchedule,
  createServer, deleteServer, changeServer, power, restoreServer, restoreServer, rebuild, shelve, personSnapshots,
  keepImage, keepImage, breakImage, copyImage, deleteVolumeSnapshot, pruneOnStaleListing, pruneOnStaleListing,
  snapshotsFail, snapshotsFail, snapshotsWork, cloudFails, cloudFails, answerIsLost, cloudRecovers, quotaChanges, eventsFail,
]
