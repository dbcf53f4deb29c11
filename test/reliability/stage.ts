import type { ImageSeen, ServerSeen } from '../../demo/openstack/simulator.ts'
import { personIn } from '../../demo/person.ts'
import { startWorld, type World } from '../../demo/world.ts'
import type { FunctionName } from './process.ts'
import { Witness } from './witness.ts'

/** What goes wrong with the first attempts of each day, so that what follows a failure is crashed through as well. */
export type Weather = 'it is fair' | 'snapshots fail' | 'glance is down' | 'servers do not start'

export const weathers: readonly Weather[] = ['it is fair', 'snapshots fail', 'glance is down', 'servers do not start']

/** Whether a plan for more than two servers is carried out where it was made, or handed over to shards. */
export type Plans = 'whole' | 'in shards'

/** How many images of each server stay. */
export const retention = 2

/** A server with a schedule that runs at 01:00 each day. */
export interface Scheduled {
  readonly server: ServerSeen
  /** `<cadence>/<schedule>` */
  readonly schedule: `${'daily' | 'custom'}/${string}`
  readonly stopped: boolean
  /** With {@link Stage.partner}. */
  readonly shared: boolean
}

/** A world with servers, schedules and images of people, and a calendar. */
export interface Stage {
  readonly world: World
  readonly scheduled: readonly Scheduled[]
  /** The id of a project that images are shared with. */
  readonly partner: string
  /** Those that its timers invoke. */
  readonly functions: readonly FunctionName[]
  readonly witness: Witness
  /** Images that no promise may touch. */
  readonly treasured: readonly ImageSeen[]
  /** Days that are over, from 0. */
  days: number
}

const first = Date.parse('2026-11-02T00:00:00Z')
/** What the selector goes by. */
const metadata = { images: 'stopped' }
/** Longer than a poll takes, so that an image is waited for. */
const snapshotSeconds = { saving: 4, active: 8, idle: 8.1 }
const volumeSnapshotSeconds = 8

/** `2026-11-02`, and so on. */
export function dateOf(day: number): string {
  return new Date(first + day * 86_400_000).toISOString().slice(0, 10)
}

/** The period of a schedule's turn of a day. */
export function periodOf({ schedule }: Pick<Scheduled, 'schedule'>, day: number): string {
  return schedule.startsWith('custom/') ? `${dateOf(day)}T01:00Z` : dateOf(day)
}

export function instantOf(day: number, minutes: number): Date {
  return new Date(first + day * 86_400_000 + minutes * 60_000)
}

/**
 * An image-backed server and a volume-backed one with a data volume, each with a daily schedule; a schedule whose selector
 * matches one of each kind and one that never ran, which are stopped for their images; and a server that a person restored
 * from one of our images and made an image of.
 *
 * @param twice - One of the servers that are stopped has a schedule of another cadence too, of which the same goes.
 */
export async function setStage(twice = false, plans: Plans = 'whole'): Promise<Stage> {
  const heard: { witness?: Witness } = {}
  const built = await startWorld({ now: instantOf(-1, 0), snapshotSeconds, onRequest: (request) => heard.witness?.hear(request) })
  const world = plans === 'whole' ? built : { ...built, env: { ...built.env, SHARD_QUEUE_URL: built.aws.queue.url } }
  const { openstack, project } = world
  const partner = openstack.addProject('partner').id
  const scheduled: Scheduled[] = [
    { server: openstack.addServer(project, { name: 'web-1' }), schedule: 'daily/web', stopped: false, shared: false },
    { server: openstack.addServer(project, { name: 'db-1', volumeBacked: true, dataVolumes: 1 }), schedule: 'daily/database', stopped: false, shared: false },
    { server: openstack.addServer(project, { name: 'app-1', metadata }), schedule: 'daily/stopped', stopped: true, shared: true },
    { server: openstack.addServer(project, { name: 'store-1', metadata, volumeBacked: true }), schedule: 'daily/stopped', stopped: true, shared: true },
    { server: openstack.addServer(project, { name: 'old-1', metadata, status: 'SHUTOFF', dataVolumes: 1 }), schedule: 'daily/stopped', stopped: true, shared: true },
  ]
  const [web, db, , store] = scheduled.map(({ server }) => server)
  openstack.setVolume(store!.volumeIds[0]!, { metadata: slow })
  const items = [{ schedule: 'web', server: web!.id }, { schedule: 'database', server: 'db-1' }, { schedule: 'stopped', selector: { metadata }, consistency: 'stopped', shareWith: [partner] }]
  for (const item of items) await world.putSchedule({ cadence: 'daily', retention, spread: 0, ...item })
  if (twice) {
    scheduled.push({ server: store!, schedule: 'custom/again', stopped: true, shared: false })
    await world.putSchedule({ cadence: 'custom', schedule: 'again', cron: '0 1 * * *', server: store!.id, retention, spread: 0, consistency: 'stopped' })
  }

  // Every mark that one of our images can have, its seal included: Nova hands them all on.
  const marks = { 'org.openstack__1__created_by': 'scheduled_images_service', 'scheduled_images__schedule': 'daily/database', 'scheduled_images__period': '2026-11-01', 'scheduled_images__run': 'run-0' }
  const ours = openstack.addImage(project, { name: 'Daily-db-1-0', properties: { ...marks, instance_uuid: db!.id, scheduled_images__image: 'a0000000-0000-4000-8000-000000000000' } })
  const alice = personIn(world)
  const restored = await alice.boot('restored', ours.id)
  world.setClock(instantOf(-1, 5))
  const mine = await alice.createImage(restored, 'mine')
  world.setClock(instantOf(-1, 10))
  const treasured = openstack.images().filter(({ id }) => id === mine || id === ours.id)
  heard.witness = new Witness(openstack, scheduled)
  const functions: FunctionName[] = twice ? ['snapshotDaily', 'snapshotCustom', 'prune'] : ['snapshotDaily', 'prune']
  return { world, scheduled, partner, functions, witness: heard.witness, treasured, days: 0 }
}

const slow = { lab_delay: String(volumeSnapshotSeconds) }

/** Spoils the first attempts of a day. @returns what repairs them. */
export function spoil({ world: { openstack }, scheduled }: Stage, weather: Weather): () => void {
  switch (weather) {
    case 'it is fair':
      return () => {}
    case 'snapshots fail': {
      const [web, db, app, store] = scheduled.map(({ server }) => server)
      for (const server of [web!, app!]) openstack.setServer(server.id, { metadata: { ...server.metadata, lab_fail: 'snapshot' } })
      openstack.setVolume(db!.volumeIds[1]!, { metadata: { lab_fail: 'snapshot' } })
      openstack.setVolume(store!.volumeIds[0]!, { metadata: { ...slow, lab_fail: 'snapshot' } })
      return () => {
        for (const server of [web!, app!]) openstack.setServer(server.id, { metadata: server.metadata })
        openstack.setVolume(db!.volumeIds[1]!, { metadata: {} })
        openstack.setVolume(store!.volumeIds[0]!, { metadata: slow })
      }
    }
    case 'glance is down':
      return openstack.stop('glance')
    case 'servers do not start':
      return openstack.fault({ service: 'compute', method: 'POST', body: /os-start/, then: { status: 409, body: { conflictingRequest: { code: 409, message: 'Instance is locked' } } } })
  }
}
