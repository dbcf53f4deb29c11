import type { ImageSeen, ServerSeed, ServerSeen } from './openstack/simulator.ts'
import { personIn } from './person.ts'
import type { World } from './world.ts'

/** A Monday; in Stockholm the night of the 29th has no 02:30. */
export const begin = new Date('2026-03-16T00:00:00Z')
export const days = 21

/** What happens once, just before a tick. */
interface Incident {
  readonly at: Date
  /** @returns a sentence that says what happened. */
  readonly happen: () => string | Promise<string>
}

export interface Story {
  readonly servers: readonly ServerSeen[]
  /** The keys of the items, each with the server that it is about. */
  readonly schedules: readonly { readonly cadence: string; readonly schedule: string; readonly server: string }[]
  readonly incidents: readonly Incident[]
  /** The images that no retention may touch, as people left them. */
  readonly treasured: readonly { readonly image: ImageSeen; readonly why: string }[]
}

const gigabytes = (size: number) => ({ lab_size: String(size * 2 ** 20) })
const cast: readonly ServerSeed[] = [
  { name: 'web-1', metadata: gigabytes(2.3) },
  { name: 'db-1', volumeBacked: true, dataVolumes: 1 },
  { name: 'shop-1', metadata: gigabytes(4.1) },
  { name: 'cache-1', metadata: gigabytes(0.8) },
  { name: 'files-1', status: 'SHUTOFF', dataVolumes: 1, metadata: gigabytes(1.2) },
]

/** Puts servers into the cloud and schedules into the table, and says what will happen to them. */
export async function tell(world: World): Promise<Story> {
  const { openstack } = world
  const servers = cast.map((seed) => openstack.addServer(world.project, seed))
  const idOf = (name: string) => servers.find((server) => server.name === name)!.id
  // As people type them: numbers as text, days with capitals, a server by its name, a typo.
  const items = [
    { cadence: 'daily', schedule: 'web-1', server: idOf('web-1'), retention: 3 },
    { cadence: 'weekly', schedule: 'web-1', server: idOf('web-1'), retention: 2, dayOfWeek: 'Sunday', at: '02:00' },
    { cadence: 'daily', schedule: 'db-1', server: idOf('db-1'), retention: '5', at: '02:30', timeZone: 'Europe/Stockholm' },
    { cadence: 'daily', schedule: 'shop', server: 'shop-1', retention: 4, spread: 0 },
    { cadence: 'daily', schedule: 'cache-1', server: idOf('cache-1'), retention: 2 },
    { cadence: 'weekly', schedule: 'files-1', server: idOf('files-1'), retention: 2, dayOfWeek: 'saturday', at: '22:30', timeZone: 'America/New_York', spread: 15 },
    { cadence: 'daily', schedule: 'typo', server: idOf('web-1'), retension: 7 },
  ]
  for (const item of items) await world.putSchedule(item)
  const schedules = items.map(({ cadence, schedule, server }) => ({ cadence, schedule, server: server === 'shop-1' ? idOf(server) : server }))

  const alice = personIn(world)
  const treasured: { image: ImageSeen; why: string }[] = []
  const newestOf = (prefix: string) => openstack.images().findLast(({ name }) => name?.startsWith(prefix))!
  const seen = (id: string) => openstack.images().find((image) => image.id === id)!
  let restored = ''
  let mine = ''
  const incidents: [at: string, happen: Incident['happen']][] = [
    ['2026-03-20T12:00:00Z', async () => {
      const { id, name } = newestOf('Daily-web-1-')
      await alice.image('PATCH', id, [{ op: 'replace', path: '/protected', value: true }])
      treasured.push({ image: seen(id), why: 'made by daily/web-1, protected by Alice' })
      return `Alice protects ${name}.`
    }],
    ['2026-03-22T12:00:00Z', async () => {
      const { id, name } = newestOf('Daily-web-1-')
      restored = await alice.boot('web-1-restored', id)
      return `Alice boots the server web-1-restored from ${name}.`
    }],
    ['2026-03-22T15:00:00Z', async () => {
      mine = await alice.createImage(restored, 'after-restore')
      return 'Alice makes an image of it by hand, after-restore.'
    }],
    ['2026-03-22T18:00:00Z', () => {
      treasured.push({ image: seen(mine), why: 'made by Alice, of a server restored from our image' })
      return 'OpenStack has copied the marks of web-1\'s scheduled image into after-restore.'
    }],
    ['2026-03-25T00:30:00Z', () => {
      openstack.setServer(idOf('shop-1'), { metadata: { ...gigabytes(4.1), lab_fail: 'snapshot' } })
      return 'The storage below shop-1 breaks: its snapshots will fail.'
    }],
    ['2026-03-25T02:00:00Z', () => {
      openstack.setServer(idOf('shop-1'), { metadata: gigabytes(4.1) })
      return 'The storage below shop-1 is repaired.'
    }],
    ['2026-03-30T12:00:00Z', () => {
      openstack.setServer(idOf('cache-1'), { status: 'ERROR' })
      return 'The server cache-1 goes to ERROR, and stays there.'
    }],
  ]
  return { servers, schedules, treasured, incidents: incidents.map(([at, happen]) => ({ at: new Date(at), happen })) }
}
