import fc from 'fast-check'
import { expect, test } from 'vitest'
import { day } from '../support/scene.ts'
import { lies, tick } from './lies.ts'
import { setStage } from './stage.ts'

/** How often the property is tried. */
const runs = Number(process.env['FUZZ_RUNS'] ?? 12)

test('on an honest cloud the stage loses exactly what retention lets go, and a delete of anything else is seen', async () => {
  const stage = await setStage()
  try {
    for (const at of [day(6, '01:15:00'), day(6, '01:30:00')]) expect(await tick(stage, at)).toEqual([])
    const { proxy, world, treasures, crimes } = stage
    const names = world.openstack.images().flatMap(({ id, name }) => (Object.values(treasures).includes(id) ? [] : [name!.replace(/\d{10}/, '6')]))
    expect(names.toSorted()).toEqual(['Daily-db-6', 'Daily-shop-6', 'Daily-web-5', 'Daily-web-6', 'cirros-lab'])
    expect(crimes).toEqual([])
    for (const id of Object.values(treasures)) await fetch(`${proxy.url}/image/v2/images/${id}`, { method: 'DELETE' })
    const [snapshot] = world.openstack.snapshots()
    await fetch(`${proxy.url}/volume/v3/${world.project.id}/snapshots/${snapshot!.id}`, { method: 'DELETE' })
    expect(crimes).toHaveLength(7)
  } finally {
    await stage.close()
  }
})

test('whatever the cloud answers, nothing that must be kept is deleted, no time is overrun and nothing secret is told', async () => {
  await fc.assert(lies(), { numRuns: runs, interruptAfterTimeLimit: 5000 + runs * 1000, markInterruptAsFailure: false })
}, 60_000 + runs * 3000)
