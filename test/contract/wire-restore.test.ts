import { describe, expect, test } from 'vitest'
import type { Json, Reply } from './api.ts'
import { cloudUnderTest } from './harness.ts'

/** What restoring asks of Nova and Cinder, beside booting and rebuilding themselves. */
const cloud = await cloudUnderTest()
const api = await cloud.api()

const NOBODY = '11111111-1111-4111-8111-111111111111'
const PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIQjZ1XmVbjkewGH3r4xJT+NeEb/8KbWnwtGyPLSxw7B test'

const nova = (method: string, path: string, options: { body?: unknown; microversion?: string } = {}): Promise<Reply> =>
  api.request('compute', method, path, { ...options, microversion: `compute ${options.microversion ?? '2.1'}` })
const cinder = (method: string, path: string, body?: unknown): Promise<Reply> => api.request('block-storage', method, path, { body })
const said = ({ status, json }: Reply): unknown[] => [status, (Object.values(json)[0] as Json | undefined)?.['message']]

/** Asks for a server that is expected to be refused, or one that is to be deleted again. */
async function post(server: Json, microversion = '2.37'): Promise<Reply> {
  const defaults = { name: cloud.name('asked'), flavorRef: 'lab.tiny', imageRef: cloud.baseImage, networks: 'none' }
  const reply = await nova('POST', '/servers', { body: { server: { ...defaults, ...server } }, microversion })
  if (reply.status === 202) await cloud.untilServer(reply.json['server']['id'], 'ACTIVE')
  return reply
}

describe('flavors', () => {
  test('a listing goes on at its link, and one that does not exist is a 404', async () => {
    const all: Json[] = (await nova('GET', '/flavors/detail')).json['flavors']
    expect(all).toContainEqual(expect.objectContaining({ id: 'lab.tiny', name: 'lab.tiny', ram: 64, vcpus: 1, disk: 1, 'OS-FLV-EXT-DATA:ephemeral': 0 }))
    const first = await nova('GET', '/flavors/detail?limit=1')
    expect(first.json['flavors']).toHaveLength(1)
    const [link]: Json[] = first.json['flavors_links']
    expect(link).toMatchObject({ rel: 'next' })
    const second = await nova('GET', `/flavors/detail?${String(link?.['href']).split('?')[1]}`)
    expect([first.json['flavors'][0].id, second.json['flavors'][0].id]).toEqual(all.slice(0, 2).map(({ id }) => id))
    expect(said(await nova('GET', '/flavors/nope'))).toEqual([404, 'Flavor nope could not be found.'])
  })
})

describe('keys', () => {
  test('one that exists is found by its name and given to a server, any other is a 404', async () => {
    const name = cloud.name('key')
    expect((await nova('POST', '/os-keypairs', { body: { keypair: { name, public_key: PUBLIC_KEY } } })).status).toBe(200)
    try {
      expect((await nova('GET', `/os-keypairs/${name}`)).json['keypair']).toMatchObject({ name, public_key: PUBLIC_KEY })
      const server: string = (await post({ key_name: name })).json['server']['id']
      expect((await cloud.server(server))['key_name']).toBe(name)
      await cloud.deleteServer(server)
    } finally {
      expect((await nova('DELETE', `/os-keypairs/${name}`)).status).toBe(202)
    }
    expect((await nova('GET', `/os-keypairs/${name}`)).status).toBe(404)
    expect(said(await nova('GET', '/os-keypairs/nope'))).toEqual([404, expect.stringMatching(/^Keypair nope not found for user [0-9a-f]{32}$/)])
  })
})

describe('a new server', () => {
  test('needs networks from 2.37 on, and none before', async () => {
    const [status, message] = said(await post({ networks: undefined }))
    expect([status, message]).toEqual([400, expect.stringMatching(/^Invalid input for field\/attribute server\..* 'networks' is a required property$/)])
    const old = await post({ networks: undefined }, '2.1')
    expect(old.status).toBe(202)
    await cloud.deleteServer(old.json['server']['id'])
  })

  test('is refused at once for a network, key, zone or flavor that does not exist', async () => {
    expect(said(await post({ networks: [{ uuid: NOBODY }] }))).toEqual([400, `Network ${NOBODY} could not be found.`])
    expect(said(await post({ networks: [{ uuid: 'by-name' }] }))).toEqual([400, expect.stringMatching(/^Invalid input for field\/attribute networks\./)])
    expect(said(await post({ key_name: 'nope' }))).toEqual([400, 'Invalid key_name provided.'])
    expect(said(await post({ availability_zone: 'nope' }))).toEqual([400, 'The requested availability zone is not available'])
    expect(said(await post({ flavorRef: 'nope' }))).toEqual([400, 'Flavor nope could not be found.'])
  })

  test('is refused at once when the flavor has too little memory or disk for the image', async () => {
    const id = await cloud.upload('min', { min_disk: 5, min_ram: 1024 })
    expect(said(await post({ imageRef: id }))).toEqual([400, "Flavor's memory is too small for requested image."])
    await api.patch(id, [{ op: 'replace', path: '/min_ram', value: 0 }])
    expect(said(await post({ imageRef: id }))).toEqual([
      400,
      "Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is 1073741824 bytes, minimum size is 5368709120 bytes.",
    ])
    const server = await cloud.boot({ label: 'small' })
    expect(said(await api.action(server, { rebuild: { imageRef: id } }))).toEqual([400, expect.stringMatching(/^Flavor's disk is smaller/)])
  })

  test('may come from a hidden image, and not from a deactivated one', async () => {
    const id = await cloud.upload('hidden')
    await api.patch(id, [{ op: 'replace', path: '/os_hidden', value: true }])
    const made = await post({ imageRef: id })
    expect(made.status).toBe(202)
    await cloud.deleteServer(made.json['server']['id'])
    expect((await api.request('image', 'POST', `/v2/images/${id}/actions/deactivate`)).status).toBe(204)
    expect(said(await post({ imageRef: id }))).toEqual([400, `Image ${id} is not active.`])
  })
})

describe('a server from the image of a volume-backed one', () => {
  test('has volumes as the image says, or of another type when they are named again with their devices', async () => {
    const types = (await cinder('GET', '/types')).json['volume_types'] as Json[]
    expect(types).toContainEqual(expect.objectContaining({ name: '__DEFAULT__' }))
    const used = async (): Promise<number[]> => {
      const { absolute } = (await cinder('GET', '/limits')).json['limits'] as Json
      return [absolute.totalVolumesUsed, absolute.totalGigabytesUsed, absolute.maxTotalVolumes, absolute.maxTotalVolumeGigabytes]
    }
    const [volumes, gigabytes, mostVolumes, mostGigabytes] = await used()
    const source = await cloud.boot({ label: 'typed', volumeBacked: true })
    // A volume snapshot counts as well, with the size of its volume.
    const image = await cloud.snapshot(source, 'typed')
    expect(await used()).toEqual([volumes! + 1, gigabytes! + 2, mostVolumes, mostGigabytes])
    const [part] = JSON.parse((await cloud.image(image))?.['block_device_mapping']) as Json[]
    await cloud.until(async () => (await cinder('GET', `/snapshots/${part?.['snapshot_id']}`)).json['snapshot']['status'] as string, (status) => status === 'available')

    const attached = async (reply: Reply): Promise<Json> => {
      expect(said(reply)[0]).toBe(202)
      const id: string = reply.json['server']['id']
      const [attachment] = (await nova('GET', `/servers/${id}`, { microversion: '2.3' })).json['server']['os-extended-volumes:volumes_attached'] as Json[]
      const { volume } = (await cinder('GET', `/volumes/${attachment?.['id']}`)).json
      const { device } = (await nova('GET', `/servers/${id}/os-volume_attachments`)).json['volumeAttachments'][0]
      await cloud.deleteServer(id)
      return { ...attachment, ...volume, device }
    }
    const common = { snapshot_id: part?.['snapshot_id'], status: 'in-use', volume_type: '__DEFAULT__', device: '/dev/sda' }
    const wanted = { imageRef: image, flavorRef: 'lab.nodisk' }
    expect(await attached(await post(wanted))).toMatchObject({ ...common, delete_on_termination: true })

    const device = { boot_index: 0, source_type: 'snapshot', destination_type: 'volume', uuid: part?.['snapshot_id'], device_name: '/dev/sda', delete_on_termination: true, volume_type: '__DEFAULT__' }
    const naming = (change: Json, microversion = '2.67') => post({ ...wanted, block_device_mapping_v2: [{ ...device, ...change }] }, microversion)
    expect(await attached(await naming({}))).toMatchObject({ ...common, delete_on_termination: true })
    expect(said(await naming({ volume_type: 'nope' }))).toEqual([400, 'Volume type nope could not be found.'])
    expect(said(await naming({ device_name: undefined }))).toEqual([400, 'Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.'])
    expect(said(await naming({}, '2.66'))).toEqual([400, expect.stringMatching(/Additional properties are not allowed \('volume_type' was unexpected\)$/)])
  })
})

describe('a rebuild', () => {
  test('is refused for a server that is paused, locked or being rebuilt', async () => {
    const server = await cloud.boot({ label: 'refusing' })
    const rebuild = (): Promise<Reply> => api.action(server, { rebuild: { imageRef: cloud.baseImage } })
    await api.action(server, { pause: null })
    await cloud.untilServer(server, 'PAUSED')
    expect(said(await rebuild())).toEqual([409, `Cannot 'rebuild' instance ${server} while it is in vm_state paused`])
    await api.action(server, { unpause: null })
    await cloud.untilServer(server, 'ACTIVE')
    await api.action(server, { lock: null })
    expect(said(await rebuild())).toEqual([409, `Instance ${server} is locked`])
    await api.action(server, { unlock: null })
    expect((await rebuild()).status).toBe(202)
    expect(said(await rebuild())).toEqual([409, `Cannot 'rebuild' instance ${server} while it is in task_state rebuilding`])
    await cloud.untilServer(server, 'ACTIVE')
  })
})

describe.skipIf(!cloud.has('admin') || !cloud.has('gamma'))('a project without room', () => {
  test('is refused another server by Nova at once, while one whose volumes have no room ends in ERROR', async () => {
    const [admin, gamma] = [await cloud.api('admin'), await cloud.api('gamma')]
    const path = `/os-quota-sets/${gamma.projectId}`
    const limits = async (service: 'compute' | 'block-storage'): Promise<Json> => (await gamma.request(service, 'GET', '/limits')).json['limits']['absolute'] as Json
    const ask = (server: Json): Promise<Reply> =>
      gamma.request('compute', 'POST', '/servers', {
        body: { server: { name: cloud.name('no-room'), flavorRef: 'lab.tiny', imageRef: cloud.baseImage, networks: 'none', ...server } },
        microversion: 'compute 2.37',
      })
    const filler = await cloud.boot({ label: 'filler', cloud: 'gamma' })
    const { totalInstancesUsed: instances, totalCoresUsed: cores, totalRAMUsed: ram } = await limits('compute')
    try {
      for (const [quota, used, each, word] of [['instances', instances, 1, 'instances'], ['cores', cores, 1, 'cores'], ['ram', ram, 64, 'ram']] as const) {
        await admin.request('compute', 'DELETE', path)
        expect((await admin.request('compute', 'PUT', path, { body: { quota_set: { [quota]: used, force: true } } })).status).toBe(200)
        expect(await limits('compute')).toMatchObject({ [{ instances: 'maxTotalInstances', cores: 'maxTotalCores', ram: 'maxTotalRAMSize' }[quota]]: used })
        expect(said(await ask({}))).toEqual([403, `Quota exceeded for ${word}: Requested ${each}, but already used ${used} of ${used} ${word}`])
      }
    } finally {
      await admin.request('compute', 'DELETE', path)
      await cloud.deleteServer(filler, 'gamma')
    }
    try {
      const { totalVolumesUsed } = await limits('block-storage')
      expect((await admin.request('block-storage', 'PUT', path, { body: { quota_set: { volumes: totalVolumesUsed } } })).status).toBe(200)
      expect(await limits('block-storage')).toMatchObject({ maxTotalVolumes: totalVolumesUsed })
      const disk = { boot_index: 0, source_type: 'image', destination_type: 'volume', uuid: cloud.baseImage, volume_size: 1, delete_on_termination: true }
      const asked = await ask({ flavorRef: 'lab.nodisk', imageRef: undefined, block_device_mapping_v2: [disk] })
      expect(asked.status).toBe(202)
      const id: string = asked.json['server']['id']
      const lost = await cloud.until(() => cloud.server(id, 'gamma'), ({ status }) => status !== 'BUILD')
      expect(lost).toMatchObject({ status: 'ERROR', fault: { message: expect.stringMatching(/VolumeLimitExceeded/) as unknown } })
      await cloud.deleteServer(id, 'gamma')
    } finally {
      await admin.request('block-storage', 'DELETE', path)
    }
  })
})
