import { describe, expect, test } from 'vitest'
import type { Json } from './api.ts'
import { cloudUnderTest } from './harness.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()

const MARK = { 'org.openstack__1__created_by': 'scheduled_images_service', retention: '7' }

/** A createImage of a person's, who gives no metadata. */
async function byHand(server: string, label: string): Promise<Json> {
  return cloud.finished(await cloud.snapshot(server, label), server)
}

describe('marks on the image of an image-backed server', () => {
  test('case 1 and 2: go to every later image of a server that was booted from it, tags do not', async () => {
    const source = await cloud.boot({ label: 'source' })
    const auto = await cloud.snapshot(source, 'auto', MARK)
    await cloud.finished(auto, source)
    await api.request('image', 'PUT', `/v2/images/${auto}/tags/auto`)
    const restored = await cloud.boot({ label: 'restored', image: auto })

    const manual = await byHand(restored, 'manual')

    expect(manual).toMatchObject({ ...MARK, instance_uuid: restored, image_type: 'snapshot', tags: [] })
    expect((await cloud.image(auto))?.['tags']).toEqual(['auto'])

    // Case 2: shelving makes one more of them.
    expect((await api.action(restored, { shelve: null })).status).toBe(202)
    await cloud.untilServer(restored, 'SHELVED_OFFLOADED')
    const shelved: Json[] = (await api.request('image', 'GET', `/v2/images?name=${cloud.name('restored')}-shelved`)).json['images']
    expect(shelved).toMatchObject([{ ...MARK, instance_uuid: restored, image_type: 'snapshot', visibility: 'private', tags: [] }])
    const refused = await api.action(restored, { createImage: { name: 'x' } })
    expect(refused.json['conflictingRequest']['message']).toBe(`Cannot 'createImage' instance ${restored} while it is in vm_state shelved_offloaded`)

    // Without it the server is lost.
    const id: string = shelved[0]?.['id']
    await api.request('image', 'DELETE', `/v2/images/${id}`)
    expect((await api.action(restored, { unshelve: null })).status).toBe(202)
    const lost = await cloud.until(() => cloud.server(restored), ({ status }) => status === 'ERROR')
    expect(lost['fault']).toMatchObject({ code: 404, message: `Unshelve attempted but the image ${id} cannot be found.` })
    expect(lost['OS-EXT-STS:task_state']).toBe('unshelving')
  })

  test('case 3: go to every later image of a server that was rebuilt from it, also once it is deleted', async () => {
    const server = await cloud.boot({ label: 'rebuilt' })
    const auto = await cloud.snapshot(server, 'ours', MARK)
    await cloud.finished(auto, server)
    expect((await api.action(server, { rebuild: { imageRef: auto } })).status).toBe(202)
    await cloud.untilServer(server, 'ACTIVE')
    // A server may run on from a deleted image.
    expect((await api.request('image', 'DELETE', `/v2/images/${auto}`)).status).toBe(204)

    expect(await byHand(server, 'by-hand')).toMatchObject({ ...MARK, instance_uuid: server })

    await api.action(server, { rebuild: { imageRef: cloud.baseImage } })
    await cloud.untilServer(server, 'ACTIVE')
    expect(await byHand(server, 'afresh')).not.toHaveProperty('retention')
  })

  test('a server unshelved is as it was, and its shelve image is deleted', async () => {
    const server = await cloud.boot({ label: 'shelf' })
    await api.action(server, { shelve: null })
    await cloud.untilServer(server, 'SHELVED_OFFLOADED')
    await api.action(server, { unshelve: null })
    const back = await cloud.untilServer(server, 'ACTIVE')
    expect(back['image']['id']).toBe(cloud.baseImage)
    const listed = async (): Promise<Json[]> => (await api.request('image', 'GET', `/v2/images?name=${cloud.name('shelf')}-shelved`)).json['images']
    await cloud.until(listed, (images) => images.length === 0)
  })
})

describe('marks on the image of a volume-backed server', () => {
  test('case 5, 64, 65 and 69: are inherited, the claimed server too; and rebuilding from it loses data', async () => {
    const source = await cloud.boot({ label: 'bfv-source', volumeBacked: true })
    const auto = await cloud.snapshot(source, 'bfv-auto', { ...MARK, instance_uuid: source })
    const [part] = JSON.parse((await cloud.image(auto))?.['block_device_mapping']) as Json[]
    const status = async (): Promise<string> =>
      (await api.request('block-storage', 'GET', `/snapshots/${part?.['snapshot_id']}`)).json['snapshot']['status']
    await cloud.until(status, (seen) => seen === 'available')

    const restored = await cloud.boot({ label: 'bfv-restored', image: auto, flavor: 'lab.nodisk' })

    // Case 69: it shows an image although it runs from a volume of its own.
    const seen = await cloud.server(restored)
    expect(seen['image']['id']).toBe(auto)
    const [volume] = seen['os-extended-volumes:volumes_attached'] as Json[]
    const disk = async (): Promise<Json> => (await api.request('block-storage', 'GET', `/volumes/${volume?.['id']}`)).json['volume']
    expect(await disk()).toMatchObject({ status: 'in-use', snapshot_id: part?.['snapshot_id'] })

    // Case 5: its images claim to be of the server it was restored from.
    const manual = await cloud.image(await cloud.snapshot(restored, 'bfv-manual'))
    expect(manual).toMatchObject({ ...MARK, instance_uuid: source, base_image_ref: '', size: 0, status: 'active' })
    expect(manual).not.toHaveProperty('image_type')

    // Case 64: below 2.93 refused; from there ACTIVE, and the disk in error.
    const refused = await api.action(restored, { rebuild: { imageRef: auto } })
    expect([refused.status, refused.json['badRequest']['message']]).toEqual([400, `Image ${auto} is unacceptable: Unable to rebuild with a different image for a volume-backed server.`])
    expect((await api.action(restored, { rebuild: { imageRef: auto } }, '2.93')).status).toBe(202)
    expect(await cloud.untilServer(restored, 'ACTIVE')).not.toHaveProperty('fault')
    await cloud.until(disk, ({ status: now }) => now === 'error')

    // Case 65: an image-backed server is rebuilt from the empty image without complaint.
    const victim = await cloud.boot({ label: 'victim' })
    expect((await api.action(victim, { rebuild: { imageRef: auto } })).status).toBe(202)
    expect(await cloud.untilServer(victim, 'ACTIVE')).toMatchObject({ image: { id: auto }, 'os-extended-volumes:volumes_attached': [] })
  })
})
