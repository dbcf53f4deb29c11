import type { World } from '../../demo/world.ts'
import type { TestService } from './service.ts'

/** An instant of November 2026, the month in which the tests play. */
export function day(n: number, time = '01:00:00'): string {
  return `2026-11-${String(n).padStart(2, '0')}T${time}Z`
}

/** Images of a server as Glance has them, oldest first. */
export function imagesOf({ openstack }: World, server: string) {
  return openstack.images().filter(({ properties }) => properties['instance_uuid'] === server)
}

/** What the user sees in the item. */
export async function stateOf(world: World, schedule: string, cadence = 'daily'): Promise<Record<string, unknown>> {
  const item = await world.getSchedule(cadence, schedule)
  return (item?.['state'] ?? {}) as Record<string, unknown>
}

/** Adds a server on a host of its own, and a daily schedule of it at 01:00 that keeps 3, but for what is given. */
export async function scheduled(world: World, name: string, server: Partial<Parameters<World['openstack']['addServer']>[1]> = {}, item: Record<string, unknown> = {}) {
  const added = world.openstack.addServer(world.project, { name, host: name, ...server })
  await world.putSchedule({ cadence: 'daily', schedule: name, server: added.id, retention: 3, spread: 0, ...item })
  return added
}

/** Adds a project with quotas, and a cloud of that name which enters it. */
export function addCloud({ openstack, aws }: World, name: string, quotas: Parameters<World['openstack']['addProject']>[1] = {}): ReturnType<World['openstack']['addProject']> {
  const project = openstack.addProject(name, quotas)
  const user = openstack.addUser(`user-of-${name}`, `password-of-${name}`, { [name]: 'member' })
  const { id, secret } = openstack.addApplicationCredential(user, project, { secret: `secret-of-${name}` })
  const auth = { auth_url: openstack.authUrl, application_credential_id: id, application_credential_secret: secret }
  aws.parameters.set(`/scheduled-images/local/clouds/${name}`, JSON.stringify({ auth_type: 'v3applicationcredential', auth, region_name: 'RegionOne' }))
  return project
}

/** Runs the three functions at 01:00, 01:15 and 01:30 of each day, so that each image is started, settled and pruned for. */
export async function runDays(service: TestService, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n += 1) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(n, time))
}

/** What the timers would have done before the first day: the schedules are seen, and begin to count. */
export async function enable(service: TestService): Promise<void> {
  await service.tickAt(day(1, '00:30:00'))
}
