import { beforeAll, describe, expect, test } from 'vitest'
import type { Json, Reply } from './api.ts'
import { cloudUnderTest } from './harness.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()

const NOBODY = '11111111-1111-1111-1111-111111111111'
const UNDELETABLE =
  'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.'

const cinder = (method: string, path: string, body?: object): Promise<Reply> =>
  api.request('block-storage', method, path, { ...(body && { body }) })
const snapshot = async (id: string): Promise<Json> => (await cinder('GET', `/snapshots/${id}`)).json['snapshot'] ?? { status: 'gone' }
const untilSnapshot = (id: string, status: string): Promise<Json> => cloud.until(() => snapshot(id), (seen) => seen['status'] === status)
const mapping = (image: Json): Json[] => JSON.parse(image['block_device_mapping'])
const read = async (id: string): Promise<Json> => (await cloud.image(id)) ?? {}

/** A volume-backed server with one data volume, root first. */
let server: string
let volumes: string[]
beforeAll(async () => {
  server = await cloud.boot({ label: 'bfv', volumeBacked: true, dataVolumes: 1 })
  volumes = (await cloud.server(server))['os-extended-volumes:volumes_attached'].map(({ id }: Json) => id)
})

/** Has a volume's metadata, which the lab reads its knobs from, be so until the work is done. */
async function withKnob<Result>(metadata: Json, work: () => Promise<Result>): Promise<Result> {
  expect((await cinder('PUT', `/volumes/${volumes[0]}/metadata`, { metadata })).status).toBe(200)
  try {
    return await work()
  } finally {
    await cinder('PUT', `/volumes/${volumes[0]}/metadata`, { metadata: {} })
  }
}

/** createImage of the server. @returns the image and the Cinder snapshots that it names. */
async function taken(label: string, metadata: Record<string, string> = {}): Promise<{ image: Json; parts: string[] }> {
  const image = await read(await cloud.snapshot(server, label, metadata))
  return { image, parts: mapping(image).map((part) => part['snapshot_id']) }
}

async function dropped(image: Json, parts: readonly string[]): Promise<void> {
  await api.request('image', 'DELETE', `/v2/images/${image['id']}`)
  for (const id of parts) {
    // One that is still being made is refused.
    await cloud.until(() => cinder('DELETE', `/snapshots/${id}`), ({ status }) => status === 202)
    await untilSnapshot(id, 'gone')
  }
}

describe('createImage of a volume-backed server', () => {
  test('the server shows no image, but volumes', async () => {
    expect(await cloud.server(server)).toMatchObject({ image: '', status: 'ACTIVE' })
    expect(volumes).toHaveLength(2)
    const attached = await api.request('compute', 'GET', `/servers/${server}/os-volume_attachments`)
    expect(attached.json['volumeAttachments'].map((each: Json) => [each['volumeId'], each['device']])).toEqual([
      [volumes[0], '/dev/sda'],
      [volumes[1], '/dev/sdb'],
    ])
  })

  test('case 14 and 15: the image is active and empty at once, says not of which server, and names one snapshot per volume', async () => {
    const { image, parts } = await taken('plain', { team: 'red' })
    expect(image).toMatchObject({
      status: 'active', size: 0, virtual_size: null, disk_format: 'qcow2', container_format: 'bare', visibility: 'private', checksum: 'd41d8cd98f00b204e9800998ecf8427e',
      base_image_ref: '', bdm_v2: 'True', root_device_name: '/dev/sda', team: 'red', lab_vendor: 'Base Image Inc', owner_user_name: api.issued['user']['name'], tags: [],
    })
    for (const key of ['instance_uuid', 'image_type', 'user_id', 'image_state']) expect(image).not.toHaveProperty(key)
    expect(mapping(image)).toMatchObject([
      { source_type: 'snapshot', destination_type: 'volume', boot_index: 0, device_name: '/dev/sda', volume_size: 1, volume_id: null, image_id: null, delete_on_termination: true },
      { source_type: 'snapshot', destination_type: 'volume', boot_index: -1, device_name: '/dev/sdb', volume_size: 1, volume_id: null, image_id: null },
    ])
    for (const [index, id] of parts.entries()) {
      const part = await untilSnapshot(id, 'available')
      expect(part).toMatchObject({ name: `snapshot for ${cloud.name('plain')}`, description: '', volume_id: volumes[index], size: 1, metadata: {}, 'os-extended-snapshot-attributes:project_id': api.projectId })
      expect(part['created_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000$/)
    }

    // Case 47: the image's deletion leaves the snapshots, and they keep the volume from being deleted.
    expect((await api.request('image', 'DELETE', `/v2/images/${image['id']}`)).status).toBe(204)
    for (const id of parts) expect((await snapshot(id))['status']).toBe('available')
    const refused = await cinder('DELETE', `/volumes/${volumes[0]}`)
    expect([refused.status, refused.json]).toEqual([400, { badRequest: { code: 400, message: UNDELETABLE } }])
    for (const id of parts) {
      const deleted = await cinder('DELETE', `/snapshots/${id}`)
      expect([deleted.status, deleted.text]).toEqual([202, ''])
      await untilSnapshot(id, 'gone')
      const again = await cinder('DELETE', `/snapshots/${id}`)
      expect([again.status, again.json]).toEqual([404, { itemNotFound: { code: 404, message: `Snapshot ${id} could not be found.` } }])
    }
  })

  test('case 26: two at once are both accepted', async () => {
    const ids = await Promise.all([cloud.snapshot(server, 'twin'), cloud.snapshot(server, 'twin')])
    const images = await Promise.all(ids.map(read))
    expect(images.map(({ status }) => status)).toEqual(['active', 'active'])
    const parts = images.flatMap(mapping).map((part) => part['snapshot_id'])
    expect(new Set(parts).size).toBe(4)

    // Case 43: pages of Cinder's.
    const mine = async (path: string): Promise<Reply> => cinder('GET', path)
    const page = await mine('/snapshots/detail?limit=1')
    expect(page.json['snapshots']).toHaveLength(1)
    const [link] = page.json['snapshots_links']
    expect(link).toMatchObject({ rel: 'next', href: expect.stringMatching(new RegExp(`/v3/${api.projectId}/snapshots/detail\\?limit=1&marker=${page.json['snapshots'][0]['id']}$`)) })
    const next = await api.request('block-storage', 'GET', link['href'])
    expect(next.json['snapshots'][0]['id']).not.toBe(page.json['snapshots'][0]['id'])
    const twins: Json[] = (await mine(`/snapshots/detail?name=${encodeURIComponent(`snapshot for ${cloud.name('twin')}`)}&volume_id=${volumes[0]}`)).json['snapshots']
    expect(twins.map(({ volume_id: id }) => id)).toEqual([volumes[0], volumes[0]])
    expect((await mine(`/snapshots/detail?name=${cloud.name('nobody')}`)).json).toEqual({ snapshots: [] })
    for (const image of images) await dropped(image, mapping(image).map((part) => part['snapshot_id']))
  })

  test('createBackup is refused', async () => {
    const reply = await api.action(server, { createBackup: { name: 'x', backup_type: 'd', rotation: 1 } })
    expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message: 'Backup is not supported for volume-backed instances.' } }])
  })
})

describe.skipIf(!cloud.knobs)('storage that is slow or fails', () => {
  test('case 15 and 16: the image is active while its snapshot is still being made', async () => {
    await withKnob({ lab_delay: '9' }, async () => {
      const { image, parts } = await taken('slow')
      expect(image['status']).toBe('active')
      expect(await snapshot(parts[0] ?? '')).toMatchObject({ status: 'creating', updated_at: null, 'os-extended-snapshot-attributes:progress': '0%' })
      const refused = await cinder('DELETE', `/snapshots/${parts[0]}`)
      expect([refused.status, refused.json['badRequest']['message']]).toEqual([400, 'Invalid snapshot: Snapshot status must be available or error and must not be part of a group.'])
      await untilSnapshot(parts[0] ?? '', 'available')
      await dropped(image, parts)
    })
  })

  test('case 15 and 66: the image is active though its snapshot failed, and a server booted from it ends in error', async () => {
    await withKnob({ lab_fail: 'snapshot' }, async () => {
      const { image, parts } = await taken('failed')
      expect(image['status']).toBe('active')
      await untilSnapshot(parts[0] ?? '', 'error')
      const broken = await cloud.boot({ label: 'broken', image: image['id'], flavor: 'lab.nodisk', until: 'ERROR' })
      expect((await cloud.server(broken))['fault']['message']).toContain("Originating snapshot status must be one of 'available' values")
      await cloud.deleteServer(broken)
      await dropped(image, parts)
    })
  })

  test('case 48: a busy snapshot is accepted for deletion, and back without a word', async () => {
    const { image, parts } = await taken('busy')
    for (const id of parts) await untilSnapshot(id, 'available')
    await withKnob({ lab_fail: 'delete_snapshot' }, async () => {
      expect((await cinder('DELETE', `/snapshots/${parts[0]}`)).status).toBe(202)
      await cloud.sleep(1)
      expect((await snapshot(parts[0] ?? ''))['status']).toBe('available')
    })
    await dropped(image, parts)
  })
})

test('case 66: no boot from an image whose snapshots are gone', async () => {
  const { image, parts } = await taken('hollow')
  for (const id of parts) {
    await untilSnapshot(id, 'available')
    await cinder('DELETE', `/snapshots/${id}`)
    await untilSnapshot(id, 'gone')
  }
  expect((await read(image['id']))['status']).toBe('active')
  const boot = cloud.boot({ image: image['id'], flavor: 'lab.nodisk' })
  await expect(boot).rejects.toThrow(/Block Device Mapping is Invalid: failed to get snapshot [0-9a-f-]{36}\./)
})

test('case 28: the data volume of an image-backed server is not in its image, and nothing says so', async () => {
  const mixed = await cloud.boot({ label: 'mixed', dataVolumes: 1 })
  const [volume] = (await cloud.server(mixed))['os-extended-volumes:volumes_attached']
  const image = await cloud.finished(await cloud.snapshot(mixed, 'mixed'), mixed)
  expect(image).toMatchObject({ instance_uuid: mixed, image_type: 'snapshot', size: 16384 })
  expect(image).not.toHaveProperty('block_device_mapping')
  expect((await cinder('GET', `/snapshots/detail?volume_id=${volume['id']}`)).json).toEqual({ snapshots: [] })
  await cloud.deleteServer(mixed)
  await cloud.until(() => cinder('GET', `/volumes/${volume['id']}`), ({ status }) => status === 404)
})

test('a deleted server leaves a volume that has snapshots', async () => {
  const doomed = await cloud.boot({ label: 'doomed', volumeBacked: true })
  const [volume] = (await cloud.server(doomed))['os-extended-volumes:volumes_attached']
  const image = await read(await cloud.snapshot(doomed, 'doomed'))
  const part: string = mapping(image)[0]?.['snapshot_id']
  await untilSnapshot(part, 'available')
  await cloud.deleteServer(doomed)
  const left = (): Promise<Reply> => cinder('GET', `/volumes/${volume['id']}`)
  await cloud.until(left, ({ json }) => json['volume']?.['status'] === 'available')
  expect((await left()).json['volume']).toMatchObject({ attachments: [], bootable: 'true' })

  await dropped(image, [part])
  expect((await cinder('DELETE', `/volumes/${volume['id']}`)).status).toBe(202)
  await cloud.until(left, ({ status }) => status === 404)
})

describe('requests', () => {
  test.each<[path: string, status: number, error: object]>([
    ['/snapshots/detail?limit=x', 400, { badRequest: { code: 400, message: 'limit param must be an integer' } }],
    ['/snapshots/detail?limit=-1', 400, { badRequest: { code: 400, message: 'limit param must be positive' } }],
    ['/snapshots/detail?marker=nope', 404, { itemNotFound: { code: 404, message: 'Snapshot nope could not be found.' } }],
    ['/snapshots/detail?limit=0', 200, { snapshots: [] }],
    [`/snapshots/${NOBODY}`, 404, { itemNotFound: { code: 404, message: `Snapshot ${NOBODY} could not be found.` } }],
    ['/volumes/nope', 404, { itemNotFound: { code: 404, message: 'Volume nope could not be found.' } }],
  ])('%s: %i', async (path, status, answer) => {
    const reply = await cinder('GET', path)
    expect([reply.status, reply.json]).toEqual([status, answer])
  })

  test('a microversion meant for nova: 400; one of its own is spoken', async () => {
    const reply = await api.request('block-storage', 'GET', '/snapshots/detail', { microversion: 'compute 2.45' })
    expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message: 'The server could not comply with the request since it is either malformed or otherwise incorrect.' } }])
    const own = await api.request('block-storage', 'GET', '/snapshots/detail?limit=0', { microversion: 'volume 3.60' })
    expect([own.status, own.headers.get('openstack-api-version')]).toEqual([200, 'volume 3.60'])
    expect((await api.request('block-storage', 'GET', '/snapshots/detail', { microversion: 'volume 3.999' })).status).toBe(406)
  })

  test("another project's id in the address: 400", async () => {
    const url: string = api.issued['catalog'].find(({ type }: Json) => type === 'volumev3')['endpoints'][0]['url']
    const reply = await api.request('block-storage', 'GET', `${url.replace(api.projectId, 'f'.repeat(32))}/snapshots/detail`)
    expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message: 'Malformed request url' } }])
  })

  test('a volume tells of its server, and of the image that it was made from', async () => {
    const volume = (await cinder('GET', `/volumes/${volumes[0]}`)).json['volume']
    expect(volume).toMatchObject({ status: 'in-use', size: 1, bootable: 'true', metadata: {}, 'os-vol-tenant-attr:tenant_id': api.projectId })
    expect(volume['attachments']).toMatchObject([{ server_id: server, volume_id: volumes[0], device: '/dev/sda' }])
    expect(volume['volume_image_metadata']).toMatchObject({ image_id: cloud.baseImage, lab_vendor: 'Base Image Inc' })
    expect((await cinder('GET', `/volumes/${volumes[1]}`)).json['volume']).toMatchObject({ name: `${server}-blank-vol`, bootable: 'false' })
  })
})

describe.skipIf(!cloud.has('gamma'))('case 29: an image of a volume-backed server that Glance refuses', () => {
  test('leaves the Cinder snapshots behind, which nothing but their name and volume tells of', async () => {
    const gamma = await cloud.api('gamma')
    const small = await cloud.boot({ label: 'small', volumeBacked: true, cloud: 'gamma' })
    const [volume] = (await cloud.server(small, 'gamma'))['os-extended-volumes:volumes_attached'] as Json[]
    const left = async (label: string): Promise<Json[]> => {
      const name = encodeURIComponent(`snapshot for ${cloud.name(label)}`)
      return (await gamma.request('block-storage', 'GET', `/snapshots/detail?name=${name}`)).json['snapshots']
    }
    const leaves = async (label: string, metadata: Json): Promise<Reply> => {
      const refused = await gamma.action(small, { createImage: { name: cloud.name(label), metadata } })
      const snapshots = await cloud.until(() => left(label), (seen) => seen.every(({ status }) => status === 'available'))
      expect(snapshots).toMatchObject([{ name: `snapshot for ${cloud.name(label)}`, volume_id: volume?.['id'], metadata: {} }])
      expect((await cloud.server(small, 'gamma'))['OS-EXT-STS:task_state']).toBe(null)
      return refused
    }

    const misled = await leaves('misled', { created_at: 'z' })
    expect([misled.status, misled.json['forbidden']['message']]).toEqual([403, 'HTTP 403 Forbidden: Attribute &#x27;created_at&#x27; is read-only.'])

    const body = { name: cloud.name('filler'), disk_format: 'raw', container_format: 'bare' }
    for (let count = 0; count < 3; count += 1) {
      expect((await gamma.request('image', 'POST', '/v2/images', { body })).status).toBe(201)
    }
    const over = await leaves('over', {})
    expect([over.status, over.json['computeFault']['message']]).toEqual([500, expect.stringContaining("<class 'glanceclient.exc.HTTPOverLimit'>")])
    expect((await gamma.request('image', 'GET', `/v2/images?name=${cloud.name('over')}`)).json['images']).toEqual([])
  })
})

test.skipIf(!cloud.outages)('while Glance is down, createImage leaves the Cinder snapshots behind', async () => {
  const refused = await cloud.without('glance', () => api.action(server, { createImage: { name: cloud.name('unheard') } }))
  expect([refused.status, refused.json['computeFault']['message']]).toEqual([500, expect.stringContaining("<class 'nova.exception.GlanceConnectionFailed'>")])
  const name = encodeURIComponent(`snapshot for ${cloud.name('unheard')}`)
  const left = async (): Promise<Json[]> => (await cinder('GET', `/snapshots/detail?name=${name}`)).json['snapshots']
  const snapshots = await cloud.until(left, (seen) => seen.every(({ status }) => status === 'available'))
  expect(snapshots.map((each) => each['volume_id']).toSorted()).toEqual(volumes.toSorted())
})

describe.skipIf(!cloud.has('beta'))('case 31: a project with room for ten Cinder snapshots', () => {
  test('is told so with 403 by nova, before any is made, and with 413 by Cinder', async () => {
    const beta = await cloud.api('beta')
    const full = await cloud.boot({ label: 'full', volumeBacked: true, dataVolumes: 1, cloud: 'beta' })
    const [volume] = (await cloud.server(full, 'beta'))['os-extended-volumes:volumes_attached'] as Json[]
    const name = `snapshot for ${cloud.name('filler')}`
    const fill = (force: boolean): Promise<Reply> => {
      const body = { snapshot: { volume_id: volume?.['id'], name, force } }
      return beta.request('block-storage', 'POST', '/snapshots', { body })
    }
    expect((await fill(false)).json).toEqual({
      badRequest: {
        code: 400,
        message: `Invalid volume: Volume ${volume?.['id']} status must be available, but current status is: in-use.`,
      },
    })
    for (let count = 0; count < 9; count += 1) {
      expect((await fill(true)).json['snapshot']).toMatchObject({ name, status: 'creating', updated_at: null })
    }

    // One more would go, but not one for each of two volumes.
    const refused = await beta.action(full, { createImage: { name: cloud.name('full') } })

    const message = 'Quota exceeded for resources: snapshots'
    expect([refused.status, refused.json]).toEqual([403, { forbidden: { code: 403, message } }])
    expect((await beta.request('block-storage', 'GET', '/snapshots')).json['snapshots']).toHaveLength(9)
    expect((await fill(true)).status).toBe(202)
    const over = await fill(true)
    const limit = 'SnapshotLimitExceeded: Maximum number of snapshots allowed (10) exceeded'
    expect([over.status, over.json['overLimit']]).toEqual([413, { code: 413, message: limit, retryAfter: '0' }])
  })
})
