import { personIn } from '../../demo/person.ts'
import type { ImageSeen, ServerSeen } from '../../demo/openstack/simulator.ts'
import { startWorld, type World } from '../../demo/world.ts'

/** What goes wrong with the first attempts of each day, so that what follows a failure is crashed through as well. */
export type Weather = 'it is fair' | 'snapshots fail' | 'glance is down'

export const weathers: readonly Weather[] = ['it is fair', 'snapshots fail', 'glance is down']

/** How many images of each server stay. */
export const retention = 2

/** A world with servers, schedules and images of people, and a calendar. */
export interface Stage {
  readonly world: World
  readonly servers: readonly ServerSeen[]
  /** Images that no promise may touch. */
  readonly treasured: readonly ImageSeen[]
  /** Days that are over, from 0. */
  days: number
}

const first = Date.parse('2026-11-02T00:00:00Z')

/** `2026-11-02`, and so on. */
export function dateOf(day: number): string {
  return new Date(first + day * 86_400_000).toISOString().slice(0, 10)
}

export function instantOf(day: number, minutes: number, seconds = 0): Date {
  return new Date(first + day * 86_400_000 + minutes * 60_000 + seconds * 1000)
}

/**
 * An image-backed server, a volume-backed one with a data volume and one that is stopped, each with a daily schedule, and
 * a server that a person restored from one of our images and made an image of.
 */
export async function setStage(): Promise<Stage> {
  const world = await startWorld({ now: instantOf(-1, 0) })
  const { openstack, project } = world
  const servers = [
    openstack.addServer(project, { name: 'web-1' }),
    openstack.addServer(project, { name: 'db-1', volumeBacked: true, dataVolumes: 1 }),
    openstack.addServer(project, { name: 'old-1', status: 'SHUTOFF', dataVolumes: 1 }),
  ]
  const items = [{ schedule: servers[0]!.id, server: servers[0]!.id }, { schedule: 'database', server: 'db-1' }, { schedule: 'old', server: servers[2]!.id }]
  for (const item of items) await world.putSchedule({ cadence: 'daily', retention, spread: 0, ...item })

  // Every mark that one of our images can have, its seal included: Nova hands them all on.
  const marks = { 'org.openstack__1__created_by': 'scheduled_images_service', 'scheduled_images__schedule': 'daily/database', 'scheduled_images__period': '2026-11-01', 'scheduled_images__run': 'run-0' }
  const ours = openstack.addImage(project, { name: 'Daily-db-1-0', properties: { ...marks, instance_uuid: servers[1]!.id, scheduled_images__image: 'a0000000-0000-4000-8000-000000000000' } })
  const alice = personIn(world)
  const restored = await alice.boot('restored', ours.id)
  world.setClock(instantOf(-1, 5))
  const mine = await alice.createImage(restored, 'mine')
  world.setClock(instantOf(-1, 10))
  return { world, servers, treasured: openstack.images().filter(({ id }) => id === mine || id === ours.id), days: 0 }
}

/** Spoils the first attempts of a day. @returns what repairs them. */
export function spoil({ world: { openstack }, servers }: Stage, weather: Weather): () => void {
  switch (weather) {
    case 'it is fair':
      return () => {}
    case 'snapshots fail': {
      const [web, db] = servers
      openstack.setServer(web!.id, { metadata: { lab_fail: 'snapshot' } })
      openstack.setVolume(db!.volumeIds[1]!, { metadata: { lab_fail: 'snapshot' } })
      return () => {
        openstack.setServer(web!.id, { metadata: {} })
        openstack.setVolume(db!.volumeIds[1]!, { metadata: {} })
      }
    }
    case 'glance is down':
      return openstack.stop('glance')
  }
}
