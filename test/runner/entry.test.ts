import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'

const fixture = useWorld({ snapshotSeconds: { saving: 1, active: 5, idle: 6 } })

/** Gives the cloud `default` the credentials of another project. */
function elsewhere() {
  const { world } = fixture
  const other = world.openstack.addProject('beta')
  const user = world.openstack.addUser('bob', 'bob-password', { beta: 'member' })
  const { id, secret } = world.openstack.addApplicationCredential(user, other, { secret: 'beta-secret' })
  const parameter = '/scheduled-images/local/clouds/default'
  const former = world.aws.parameters.get(parameter)!
  world.aws.parameters.set(parameter, JSON.stringify({ auth: { auth_url: world.openstack.authUrl, application_credential_id: id, application_credential_secret: secret }, region_name: 'RegionOne' }))
  return { project: other, giveBack: () => world.aws.parameters.set(parameter, former) }
}

test('credentials of another project stop a cloud, and what is in flight there is settled once they are given back', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, retention: 1, spread: 0, onEnable: 'now' })
  await service.tickAt('2026-11-01T00:00:00Z')
  await service.tickAt('2026-11-01T00:15:00Z')
  await service.tickAt('2026-11-01T01:00:00Z')
  const { project, giveBack } = elsewhere()
  // A namesake of the image there, which carries the same marks and is sealed: it is another installation's.
  const theirs = world.openstack.addImage(project, { name: 'theirs' })

  await service.tickAt('2026-11-01T01:15:00Z')
  const [item] = await world.schedules()
  expect(item!['state']).toMatchObject({ problem: expect.stringContaining(`The credentials of cloud "default" are of project ${project.id}, and up to now they were of project ${world.project.id}.`) as string })
  expect(await service.snapshotAt('daily', '2026-11-02T01:00:00Z')).toMatchObject({ started: 0 })
  expect(world.openstack.images().some((image) => image.id === theirs.id)).toBe(true)

  giveBack()
  await service.pruneAt('2026-11-02T01:30:00Z')
  const runs = (await world.runs()).filter(({ run }) => String(run).startsWith('2026-11-01#'))
  expect(runs).toMatchObject([{ status: 'good', attempt: 1 }])
})
