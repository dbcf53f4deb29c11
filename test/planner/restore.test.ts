import { expect, test } from 'vitest'
import type { Flavor } from '../../lib/model/flavor.ts'
import { marks, type Image, type VolumeSnapshot } from '../../lib/model/image.ts'
import type { ServerDetails } from '../../lib/model/server.ts'
import { planNewServer, planRebuild, type NewServerFacts, type NewServerWish, type RebuildFacts, type RestorePlan } from '../../lib/planner/restore.ts'
import { id, mapping, project, sealed, server, web1, web2 } from '../support/builders.ts'

const gib = 1024 ** 3
const now = new Date('2026-11-21T01:30:00Z')
const small: Flavor = { id: 'f-1', name: 'm1.small', vcpus: 1, ramMiB: 1024, diskGiB: 10, ephemeralGiB: 0 }
const large: Flavor = { id: 'f-2', name: 'm1.large', vcpus: 4, ramMiB: 8192, diskGiB: 80, ephemeralGiB: 20 }
const diskless: Flavor = { id: 'f-3', name: 'b1.small', vcpus: 1, ramMiB: 1024, diskGiB: 0, ephemeralGiB: 0 }
const ample = { limit: 100, used: 1 }

const details = (attributes: Partial<ServerDetails> = {}): ServerDetails => ({ ...server({ image: id(9) }), flavor: 'f-1', locked: false, fault: undefined, devices: {}, ...attributes })
const part = (n: number, status = 'available', sizeGiB = 20): VolumeSnapshot => ({ id: id(n), name: '', volume: id(n + 100), status, sizeGiB })
const listing = (...snapshots: VolumeSnapshot[]) => new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]))

/** Of a volume-backed server with a root volume and a data volume. */
function ofVolumes(attributes: Partial<Image> = {}): Image {
  const devices = [
    { snapshot_id: id(51), source_type: 'snapshot', device_name: '/dev/vda', boot_index: 0, delete_on_termination: true },
    { snapshot_id: id(52), source_type: 'snapshot', device_name: '/dev/vdb', boot_index: null, delete_on_termination: false },
  ]
  return sealed({ size: 0, ...attributes, properties: { block_device_mapping: JSON.stringify(devices), ...attributes.properties } })
}
const volumes = { snapshots: listing(part(51), part(52, 'available', 5)), volumeQuotas: { volumes: ample, snapshots: ample, gigabytes: ample } }

const wish = (attributes: Partial<NewServerWish> = {}): NewServerWish => ({
  name: 'web-1-restored', flavor: undefined, networks: undefined, keyName: undefined, volumeType: undefined, availabilityZone: undefined, securityGroups: [], ...attributes,
})
const newFacts = (attributes: Partial<NewServerFacts> = {}): NewServerFacts => ({
  now, project, image: sealed(), snapshots: new Map(), source: details(), servers: [server()], flavors: [small, large, diskless],
  quotas: { instances: ample, cores: ample, ramMiB: { limit: undefined, used: 5000 } }, volumeQuotas: undefined, volumeTypes: [{ id: 't-1', name: 'ssd' }, { id: 't-2', name: 'hdd' }], hasKey: true, ...attributes,
})
const rebuildFacts = (attributes: Partial<RebuildFacts> = {}): RebuildFacts => ({ now, project, image: sealed(), snapshots: new Map(), server: details(), flavor: small, images: [sealed()], ...attributes })

/** The codes of what was found, `!` before those that block. */
const codes = ({ findings }: RestorePlan) => findings.map(({ code, blocks }) => (blocks ? `!${code}` : code))
const sentence = ({ findings }: RestorePlan) => findings.map(({ message }) => message).join('\n')

test.each<[what: string, change: Partial<Image>, more: Partial<NewServerFacts>, message: string]>([
  ['case 67: an image that is queued', { status: 'queued' }, {}, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its status is queued. Try again when it is finished.`],
  ['case 67: an image that was deactivated', { status: 'deactivated' }, {}, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its status is deactivated. Somebody has deactivated it: openstack image set --activate ${id(1)}`],
  ['an image that was killed', { status: 'killed' }, {}, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its status is killed. Choose another image.`],
  ['an image without bytes', { size: 0 }, {}, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: it is empty. Choose another image.`],
  ['an image with a mapping that cannot be read', { properties: { block_device_mapping: 'x' } }, {}, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its block_device_mapping cannot be read. Choose another image.`],
  ['case 66: an image with a volume snapshot that is gone', { size: 0, properties: mapping(id(51)) }, { ...volumes, snapshots: listing() }, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its volume snapshot ${id(51)} does not exist. Choose another image.`],
  ['case 66: an image with a volume snapshot in error', { size: 0, properties: mapping(id(51), id(52)) }, { ...volumes, snapshots: listing(part(51), part(52, 'error')) }, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its volume snapshot ${id(52)} is error. Choose another image.`],
  ['an image with a volume snapshot that is still being made', { size: 0, properties: mapping(id(51)) }, { ...volumes, snapshots: listing(part(51, 'creating')) }, `Image "Daily-web-1-1" (${id(1)}) cannot be restored: its volume snapshot ${id(51)} is creating. Try again when it is finished.`],
])('%s is refused', (_, change, more, message) => {
  const image = sealed(change)
  const planned = planNewServer(wish({ flavor: 'm1.small' }), newFacts({ image, ...more }))
  expect(planned).toMatchObject({ order: undefined, steps: [] })
  expect(planned.findings).toContainEqual({ code: 'IMAGE_NOT_GOOD', blocks: true, message })
  const rebuilt = planRebuild(rebuildFacts({ image, snapshots: more.snapshots ?? new Map() }))
  expect(rebuilt).toMatchObject({ order: undefined, steps: [] })
  expect(rebuilt.findings).toContainEqual({ code: 'IMAGE_NOT_GOOD', blocks: true, message })
})

test('a volume-backed image that another project shares is told as that', () => {
  const planned = planNewServer(wish({ flavor: 'm1.small' }), newFacts({ ...volumes, image: ofVolumes({ owner: 'elsewhere' }), snapshots: listing() }))
  expect(codes(planned)).toEqual(['!IMAGE_NOT_GOOD'])
  expect(sentence(planned)).toContain('does not exist. It belongs to another project, and Cinder shares no volume snapshots between projects.')
  const ordinary = planNewServer(wish({ flavor: 'm1.small' }), newFacts({ image: sealed({ owner: 'elsewhere', status: 'killed' }) }))
  expect(sentence(ordinary)).toContain('its status is killed. Choose another image.')
})

test('a new server is of the flavor that the old one has', () => {
  const planned = planNewServer(wish(), newFacts())
  expect(planned).toEqual({
    image: sealed(),
    findings: [],
    steps: [
      `A new server "web-1-restored" is made of image "Daily-web-1-1" (${id(1)}) of 2026-11-21 01:00 UTC, of flavor m1.small (1 VCPU, 1024 MiB of memory, 10 GiB of disk). No other server is touched.`,
      "It is on the project's only network, with a new address.",
    ],
    order: {
      kind: 'new', volumes: 0,
      server: { name: 'web-1-restored', image: id(1), flavor: 'f-1', networks: undefined, keyName: undefined, availabilityZone: undefined, securityGroups: [], volumes: [] },
    },
  })
})

test.each<[what: string, wished: Partial<NewServerWish>, change: Partial<NewServerFacts>, flavor: string | undefined, found: string]>([
  ['by its name', { flavor: 'm1.large' }, {}, 'f-2', ''],
  ['by its id', { flavor: 'f-2' }, {}, 'f-2', ''],
  ['by its id rather than by the name that another has', { flavor: 'f-2' }, { flavors: [{ ...small, name: 'f-2' }, large] }, 'f-2', ''],
  ['by its name where the old server is gone', { flavor: 'm1.small' }, { source: undefined }, 'f-1', ''],
  ['of none where the old server is gone', {}, { source: undefined }, undefined, 'The server that image "Daily-web-1-1" is of no longer exists, so --flavor has to say how large the new one is to be. Those that fit: m1.large, m1.small.'],
  ["of none where the old server's is gone", {}, { source: details({ flavor: 'f-0' }) }, undefined, 'The flavor of server "web-1" no longer exists, so --flavor has to say how large the new one is to be. Those that fit: m1.large, m1.small.'],
  ['that does not exist', { flavor: 'm1.tiny' }, {}, undefined, 'There is no flavor "m1.tiny". Those that fit: m1.large, m1.small.'],
  ['that has no disk', { flavor: 'b1.small' }, {}, undefined, 'Flavor b1.small is too small for image "Daily-web-1-1": it has no disk, and is for servers that boot from a volume. Those that fit: m1.large, m1.small.'],
  ['whose disk is just enough', { flavor: 'm1.small' }, { image: sealed({ minDiskGiB: 10, size: 10 * gib }) }, 'f-1', ''],
  ['whose disk is too small for min_disk', {}, { image: sealed({ minDiskGiB: 11 }) }, undefined, 'Flavor m1.small is too small for image "Daily-web-1-1": it has 10 GiB of disk, and the image needs 11. Those that fit: m1.large.'],
  ['whose disk is too small for the bytes', {}, { image: sealed({ size: 10 * gib + 1 }) }, undefined, 'Flavor m1.small is too small for image "Daily-web-1-1": it has 10 GiB of disk, and the image needs 11. Those that fit: m1.large.'],
  ['whose memory is just enough', {}, { image: sealed({ minRamMiB: 1024 }) }, 'f-1', ''],
  ['whose memory is too small', {}, { image: sealed({ minRamMiB: 9000 }) }, undefined, 'Flavor m1.small is too small for image "Daily-web-1-1": it has 1024 MiB of memory, and the image needs 9000. None of this cloud fits.'],
  ['without a disk, for a volume-backed image', { flavor: 'b1.small' }, { ...volumes, image: ofVolumes({ minDiskGiB: 50 }) }, 'f-3', ''],
  ['with too little memory, for a volume-backed image', { flavor: 'b1.small' }, { ...volumes, image: ofVolumes({ minRamMiB: 1025 }) }, undefined, 'Flavor b1.small is too small for image "Daily-web-1-1": it has 1024 MiB of memory, and the image needs 1025. Those that fit: m1.large.'],
])('a flavor %s', (_, wished, change, flavor, found) => {
  const planned = planNewServer(wish(wished), newFacts(change))
  expect(sentence(planned)).toBe(found)
  expect(planned.order?.kind === 'new' ? planned.order.server.flavor : undefined).toBe(flavor)
  if (!flavor) expect(codes(planned)).toEqual([expect.stringMatching(/^!FLAVOR_/)])
})

test('an image that does not say whose it is needs a flavor', () => {
  const image = sealed()
  const { [marks.server]: _, ...properties } = image.properties
  const planned = planNewServer(wish(), newFacts({ image: { ...image, properties }, source: undefined }))
  expect(codes(planNewServer(wish({ flavor: 'm1.small' }), newFacts({ image: { ...image, properties }, source: undefined })))).toEqual(['IMAGE_NOT_SCHEDULED'])
  expect(codes(planned)).toEqual(['!FLAVOR_REQUIRED'])
  expect(sentence(planned)).toBe('Image "Daily-web-1-1" does not say which server it is of, so --flavor has to say how large the new one is to be. Those that fit: m1.large, m1.small.')
})

test.each<[quota: string, change: Partial<NewServerFacts>, found: string[]]>([
  ['servers', { quotas: { instances: { limit: 10, used: 10 }, cores: ample, ramMiB: ample } }, ['!QUOTA_INSTANCES', '!QUOTA_RAM']],
  ['VCPUs', { quotas: { instances: { limit: 10, used: 9 }, cores: { limit: 5, used: 2 }, ramMiB: { limit: 8192, used: 0 } } }, ['!QUOTA_CORES']],
  ['memory', { quotas: { instances: ample, cores: { limit: 5, used: 1 }, ramMiB: { limit: 8192, used: 1 } } }, ['!QUOTA_RAM']],
  ['nothing at all', { quotas: { instances: { limit: undefined, used: 10 }, cores: { limit: undefined, used: 9 }, ramMiB: { limit: undefined, used: 1 } } }, []],
  ['volumes', { ...volumes, image: ofVolumes(), volumeQuotas: { volumes: { limit: 10, used: 9 }, snapshots: ample, gigabytes: { limit: 25, used: 0 } }, quotas: newFacts().quotas }, ['!QUOTA_VOLUMES']],
  ['gigabytes', { ...volumes, image: ofVolumes(), volumeQuotas: { volumes: { limit: 10, used: 8 }, snapshots: { limit: 0, used: 1 }, gigabytes: { limit: 25, used: 1 } }, quotas: newFacts().quotas }, ['!QUOTA_GIGABYTES']],
])('a quota without room for %s', (_, change, found) => {
  const planned = planNewServer(wish({ flavor: 'm1.large' }), newFacts(change))
  expect(codes(planned)).toEqual(found)
  expect(planned.order === undefined).toBe(found.length > 0)
})

test('a quota that is used up is told of with its numbers', () => {
  const full = { limit: 30, used: 30 }
  const planned = planNewServer(wish(), newFacts({ ...volumes, image: ofVolumes(), quotas: { instances: full, cores: full, ramMiB: full }, volumeQuotas: { volumes: full, snapshots: full, gigabytes: full } }))
  expect(planned.findings.map(({ message }) => message)).toEqual([
    'The project may have 30 servers and has 30; the new server needs 1 more. Delete something, or have the quota raised.',
    'The project may have 30 VCPUs and has 30; the new server needs 1 more. Delete something, or have the quota raised.',
    'The project may have 30 MiB of memory and has 30; the new server needs 1024 more. Delete something, or have the quota raised.',
    'The project may have 30 volumes and has 30; the new server needs 2 more. Delete something, or have the quota raised.',
    'The project may have 30 GiB of volumes and volume snapshots and has 30; the new server needs 25 more. Delete something, or have the quota raised.',
  ])
})

test('a volume-backed image becomes a server with volumes as the image has them', () => {
  const planned = planNewServer(wish({ networks: 'none' }), newFacts({ ...volumes, image: ofVolumes(), source: details({ flavor: 'f-3' }) }))
  expect(planned.findings).toEqual([])
  expect(planned.order).toMatchObject({ kind: 'new', volumes: 2, server: { flavor: 'f-3', networks: 'none', volumes: [] } })
  expect(planned.steps.slice(1)).toEqual([
    `A new volume of 20 GiB is made of volume snapshot ${id(51)}, for /dev/vda; it is deleted with the server.`,
    `A new volume of 5 GiB is made of volume snapshot ${id(52)}, for /dev/vdb; it stays when the server is deleted.`,
    'It has no network.',
  ])
})

test('volumes of another type are named one by one', () => {
  for (const volumeType of ['ssd', 't-1']) {
    const planned = planNewServer(wish({ volumeType }), newFacts({ ...volumes, image: ofVolumes() }))
    expect(planned.order).toMatchObject({ server: { volumes: [
      { snapshot: id(51), device: '/dev/vda', bootIndex: 0, deleteOnTermination: true, type: volumeType },
      { snapshot: id(52), device: '/dev/vdb', bootIndex: -1, deleteOnTermination: false, type: volumeType },
    ] } })
    expect(planned.steps[1]).toBe(`A new volume of type ${volumeType} of 20 GiB is made of volume snapshot ${id(51)}, for /dev/vda; it is deleted with the server.`)
    expect(planned.steps.at(-1)).toBe("It is on the project's only network, with a new address, or one that OpenStack makes.")
  }
})

test.each<[what: string, wished: Partial<NewServerWish>, change: Partial<NewServerFacts>, code: string, message: string]>([
  ['a volume type for an image without volumes', { volumeType: 'ssd' }, {}, '!VOLUME_TYPE_UNUSABLE', 'Image "Daily-web-1-1" has no volumes that could be of the type "ssd": its server has its disk on the compute host.'],
  ['a volume type that does not exist', { volumeType: 'nvme' }, { ...volumes, image: ofVolumes() }, '!VOLUME_TYPE_UNKNOWN', 'There is no volume type "nvme". There are: ssd, hdd.'],
  ['a volume type for volumes without a device', { volumeType: 'ssd' }, { ...volumes, image: sealed({ size: 0, properties: mapping(id(51)) }) }, '!VOLUME_TYPE_UNUSABLE', 'Image "Daily-web-1-1" does not say which of its volumes is which, so they can be of no other type than they were.'],
  ['a volume type for volumes of which one has no device', { volumeType: 'ssd' }, { ...volumes, image: ofVolumes({ properties: { block_device_mapping: JSON.stringify([{ snapshot_id: id(51), source_type: 'snapshot', device_name: '/dev/vda' }, { snapshot_id: id(52), source_type: 'snapshot', device_name: null }]) } }) }, '!VOLUME_TYPE_UNUSABLE', 'Image "Daily-web-1-1" does not say which of its volumes is which, so they can be of no other type than they were.'],
  ['a key that does not exist', { keyName: 'ops' }, { hasKey: false }, '!KEY_UNKNOWN', 'There is no key "ops" of the user of these credentials. "openstack keypair list" shows those that there are.'],
  ['a name that others have', { name: 'web-1' }, { servers: [server(), server({ id: web2 }), server({ id: id(3), name: 'web-2' })] }, 'NAME_TAKEN', `There is a server "web-1" already (${web1}, ${web2}); with the new one a name no longer tells which is meant.`],
])('%s', (_, wished, change, code, message) => {
  const planned = planNewServer(wish(wished), newFacts(change))
  expect(codes(planned)).toEqual([code])
  expect(sentence(planned)).toBe(message)
  expect(planned.order === undefined).toBe(code.startsWith('!'))
})

test('a key is looked at only when one is wished for', () => {
  expect(planNewServer(wish(), newFacts({ hasKey: false })).findings).toEqual([])
  expect(planNewServer(wish({ keyName: 'ops' }), newFacts()).order).toMatchObject({ server: { keyName: 'ops' } })
})

test.each<[what: string, wished: Partial<NewServerWish>, step: string]>([
  ['on its only network', { networks: 'auto' }, "It is on the project's only network, with a new address, or one that OpenStack makes."],
  ['on one network', { networks: ['n-1'], securityGroups: ['web', 'ssh'] }, 'It is on the 1 network n-1, with new addresses. Security groups: web, ssh.'],
  ['on two networks', { networks: ['n-1', 'n-2'] }, 'It is on the 2 networks n-1, n-2, with new addresses.'],
  ['in groups', { securityGroups: ['web'] }, "It is on the project's only network, with a new address. Security groups: web."],
])('a new server is said to be %s', (_, wished, step) => {
  expect(planNewServer(wish(wished), newFacts()).steps.at(-1)).toBe(step)
})

test('a volume whose device is not known is told of without', () => {
  const planned = planNewServer(wish({ flavor: 'b1.small' }), newFacts({ ...volumes, image: sealed({ size: 0, properties: mapping(id(51)) }) }))
  expect(planned.steps[1]).toBe(`A new volume of 20 GiB is made of volume snapshot ${id(51)}; it stays when the server is deleted.`)
})

test('a rebuild says what is lost and what stays', () => {
  expect(planRebuild(rebuildFacts())).toEqual({
    image: sealed(),
    findings: [],
    steps: [
      `The root disk of server "web-1" (${web1}) is overwritten with image "Daily-web-1-1" (${id(1)}) of 2026-11-21 01:00 UTC. What was written to it after 2026-11-21 01:00 UTC is lost.`,
      'The server keeps its id, name, flavor, key, metadata, ports, addresses and attached volumes.',
      'It is down meanwhile, and boots afterwards.',
    ],
    order: { kind: 'rebuild', server: details(), image: id(1) },
  })
})

test.each<[what: string, change: Partial<RebuildFacts>, code: string, message: string]>([
  ['case 64: a server that boots from a volume', { server: details({ image: undefined, volumes: [id(60)], devices: { [id(60)]: '/dev/vda' } }) }, '!SERVER_VOLUME_BACKED', 'Server "web-1" boots from a volume. OpenStack does not put a volume snapshot back into a volume that is in use, and a rebuild would lose the volume. Make a new server instead: --new NAME.'],
  ['case 64: a server without an image whose devices are not told', { server: details({ image: undefined, volumes: [id(60)] }) }, '!SERVER_VOLUME_BACKED', 'boots from a volume'],
  ['case 64, 69: a restored server that boots from a volume and shows an image', { server: details({ volumes: [id(60), id(61)], devices: { [id(60)]: '/dev/sdb', [id(61)]: '/dev/sda' } }) }, '!SERVER_VOLUME_BACKED', 'boots from a volume'],
  ['case 65: a server with a disk of its own, from an image of volumes', { image: ofVolumes(), snapshots: volumes.snapshots }, '!IMAGE_VOLUME_BACKED', 'Image "Daily-web-1-1" is of a volume-backed server and holds no bytes itself; OpenStack would rebuild "web-1" from nothing. Make a new server instead: --new NAME.'],
  ['a server that is busy', { server: details({ taskState: 'image_uploading' }) }, '!SERVER_BUSY', 'Server "web-1" is busy (image_uploading). Try again when it no longer is.'],
  ['a server that is being rebuilt', { server: details({ status: 'REBUILD', taskState: 'rebuilding' }) }, '!SERVER_BUSY', 'is busy (rebuilding)'],
  ['a server that is paused', { server: details({ status: 'PAUSED' }) }, '!SERVER_STATE', 'Server "web-1" is in state PAUSED, in which OpenStack rebuilds nothing; it has to be ACTIVE, SHUTOFF or ERROR.'],
  ['a server that is locked', { server: details({ locked: true }) }, '!SERVER_LOCKED', `Server "web-1" is locked. Unlock it first: openstack server unlock ${web1}`],
  ['a flavor that is too small', { image: sealed({ minDiskGiB: 11 }) }, '!FLAVOR_TOO_SMALL', 'Server "web-1" is of flavor m1.small, which is too small for image "Daily-web-1-1": it has 10 GiB of disk, and the image needs 11.'],
])('%s is not rebuilt', (_, change, code, message) => {
  const planned = planRebuild(rebuildFacts(change))
  expect(codes(planned)).toEqual([code])
  expect(sentence(planned)).toContain(message)
  expect(planned.order).toBeUndefined()
})

test.each<[what: string, change: Partial<RebuildFacts>, step: string]>([
  ['case 68: a stopped server', { server: details({ status: 'SHUTOFF' }) }, 'It is stopped, and stays so.'],
  ['a server in ERROR', { server: details({ status: 'ERROR' }) }, 'It is down meanwhile, and boots afterwards.'],
  ['a server of a flavor that is gone', { flavor: undefined, image: sealed({ minDiskGiB: 11 }) }, 'It is down meanwhile, and boots afterwards.'],
  ['a server with an ephemeral disk', { flavor: large }, 'Its ephemeral disk is made anew, and is empty then.'],
])('%s is rebuilt', (_, change, step) => {
  const planned = planRebuild(rebuildFacts(change))
  expect(planned.findings).toEqual([])
  expect(planned.steps).toContain(step)
  expect(planned.order).toMatchObject({ kind: 'rebuild', image: id(1) })
})

test('attached volumes stay as they are, which is told of', () => {
  const mixed = (...names: string[]) => rebuildFacts({ server: details({ volumes: names.map((_, n) => id(60 + n)), devices: Object.fromEntries(names.map((name, n) => [id(60 + n), name])) }) })
  expect(codes(planRebuild(mixed('/dev/vdb')))).toEqual(['VOLUMES_NOT_RESTORED'])
  expect(sentence(planRebuild(mixed('/dev/vdb')))).toBe('The 1 attached volume of "web-1" stays as it is now. Only the root disk goes back in time.')
  expect(sentence(planRebuild(mixed('/dev/vdb', '/dev/vdaa')))).toBe('The 2 attached volumes of "web-1" stay as they are now. Only the root disk goes back in time.')
})

test.each(['/dev/vda', '/dev/sda', '/dev/hda', '/dev/xvda', '/dev/ubda', 'vda'])('%s is the disk that a server boots from', (device) => {
  expect(codes(planRebuild(rebuildFacts({ server: details({ volumes: [id(60)], devices: { [id(60)]: device } }) })))).toContain('!SERVER_VOLUME_BACKED')
})

test.each(['/dev/vdb', '/dev/vdaa', '/dev/sdaa', 'xvdb', '/x/vda', '/dev/vda1'])('%s is not', (device) => {
  expect(codes(planRebuild(rebuildFacts({ server: details({ volumes: [id(60)], devices: { [id(60)]: device } }) })))).toEqual(['VOLUMES_NOT_RESTORED'])
})

test('an image that does not say whose it is is of no other server', () => {
  const image = sealed()
  const { [marks.server]: _, ...properties } = image.properties
  expect(codes(planRebuild(rebuildFacts({ image: { ...image, properties } })))).toEqual(['IMAGE_NOT_SCHEDULED'])
})

test('an image of another server is told of, and that all is lost', () => {
  const image = sealed({ properties: { [marks.server]: web2 } })
  const planned = planRebuild(rebuildFacts({ image }))
  expect(codes(planned)).toEqual(['IMAGE_OF_ANOTHER_SERVER'])
  expect(sentence(planned)).toBe(`Image "Daily-web-1-1" is of server ${web2}, and not of "web-1".`)
  expect(planned.steps[0]).toMatch(/ Everything on it is lost\.$/)
})

const at = (time: string, change: Partial<Image> = {}) => sealed({ createdAt: new Date(time), ...change })
const hint = `To be able to come back to what is on it now, take one first: scheduled-images snapshot ${web1}`

test.each<[what: string, images: readonly Image[], message: string]>([
  ['that is an hour old', [at('2026-11-21T00:30:00Z')], ''],
  ['that is older', [at('2026-11-21T00:29:59Z')], `The newest good scheduled image of "web-1" is of 2026-11-21 00:29 UTC. ${hint}`],
  ['of which the newest counts', [at('2026-11-19T00:00:00Z', { id: id(2) }), at('2026-11-20T00:00:00Z', { id: id(3) }), at('2026-11-18T00:00:00Z')], `The newest good scheduled image of "web-1" is of 2026-11-20 00:00 UTC. ${hint}`],
  ['that does not exist', [], `There is no good scheduled image of "web-1". ${hint}`],
  ['that is not good', [at('2026-11-21T01:00:00Z', { status: 'saving' })], `There is no good scheduled image of "web-1". ${hint}`],
  ['that is of another server', [at('2026-11-21T01:00:00Z', { properties: { [marks.server]: web2 } })], `There is no good scheduled image of "web-1". ${hint}`],
  ["that only inherited its marks, a person's", [at('2026-11-21T01:00:00Z', { properties: { [marks.seal]: id(7) } })].map((image) => ({ ...image, properties: { ...image.properties, [marks.seal]: id(7) } })), `There is no good scheduled image of "web-1". ${hint}`],
])('an image of the server %s', (_, images, message) => {
  const planned = planRebuild(rebuildFacts({ images }))
  expect([codes(planned), sentence(planned)]).toEqual([message ? ['NO_RECENT_IMAGE'] : [], message])
  expect(planned.order).toBeDefined()
})
