import type { Flavor } from '../model/flavor.ts'
import { imageDevices, marks, volumeSnapshots, type Image, type VolumeSnapshot } from '../model/image.ts'
import type { ComputeQuotas, Quota, VolumeQuotas } from '../model/quota.ts'
import type { NewServer, Server, ServerDetails } from '../model/server.ts'
import { goodness } from './goodness.ts'
import { scheduledImage } from './ownership.ts'

/** What stands against a restore, or is worth knowing before it. */
export interface RestoreFinding {
  readonly code: RestoreFindingCode
  /** Nothing is begun while there is one that blocks. */
  readonly blocks: boolean
  /** One complete sentence, or more. */
  readonly message: string
}

export type RestoreFindingCode =
  // that block
  | 'IMAGE_NOT_GOOD'
  | 'IMAGE_VOLUME_BACKED'
  | 'SERVER_VOLUME_BACKED'
  | 'SERVER_STATE'
  | 'SERVER_BUSY'
  | 'SERVER_LOCKED'
  | 'FLAVOR_REQUIRED'
  | 'FLAVOR_UNKNOWN'
  | 'FLAVOR_TOO_SMALL'
  | 'KEY_UNKNOWN'
  | 'VOLUME_TYPE_UNKNOWN'
  | 'VOLUME_TYPE_UNUSABLE'
  | 'QUOTA_INSTANCES'
  | 'QUOTA_CORES'
  | 'QUOTA_RAM'
  | 'QUOTA_VOLUMES'
  | 'QUOTA_GIGABYTES'
  // that warn
  | 'IMAGE_NOT_SCHEDULED'
  | 'IMAGE_OF_ANOTHER_SERVER'
  | 'NAME_TAKEN'
  | 'NO_RECENT_IMAGE'
  | 'VOLUMES_NOT_RESTORED'

/** What a restore would do, with everything that is known to stand against it. */
export interface RestorePlan {
  readonly image: Image
  /** Those that block it; when none does, those that warn. */
  readonly findings: readonly RestoreFinding[]
  /** What is done and what is lost, in sentences; none when a finding blocks it. */
  readonly steps: readonly string[]
  /** undefined when a finding blocks it. */
  readonly order: RestoreOrder | undefined
}

/** What is to be asked of the cloud. */
export type RestoreOrder =
  | { readonly kind: 'new'; readonly server: NewServer; /** How many volumes the server is to have. */ readonly volumes: number }
  | { readonly kind: 'rebuild'; readonly server: Pick<ServerDetails, 'id' | 'name' | 'status'>; readonly image: string }

/** What a person asks of a new server. */
export interface NewServerWish {
  readonly name: string
  /** A flavor's id or name; undefined for that of the server which the image is of. */
  readonly flavor: string | undefined
  readonly networks: NewServer['networks']
  readonly keyName: string | undefined
  readonly volumeType: string | undefined
  readonly availabilityZone: string | undefined
  readonly securityGroups: readonly string[]
}

/** What was found out about the image. */
export interface ImageFacts {
  readonly now: Date
  readonly image: Image
  /** The project that the credentials are for. */
  readonly project: string
  /** A complete listing of Cinder's; empty for an ordinary image, which needs none. */
  readonly snapshots: ReadonlyMap<string, VolumeSnapshot>
}

export interface NewServerFacts extends ImageFacts {
  /** The server that the image is of, if it still exists. */
  readonly source: ServerDetails | undefined
  /** Every server of the project. */
  readonly servers: readonly Server[]
  readonly flavors: readonly Flavor[]
  readonly quotas: ComputeQuotas
  /** undefined for an ordinary image. */
  readonly volumeQuotas: VolumeQuotas | undefined
  readonly volumeTypes: readonly { readonly id: string; readonly name: string }[]
  /** Whether there is a key of the wished name. */
  readonly hasKey: boolean
}

export interface RebuildFacts extends ImageFacts {
  readonly server: ServerDetails
  /** The server's flavor; undefined once it is gone. */
  readonly flavor: Flavor | undefined
  /** Every image of the project. */
  readonly images: readonly Image[]
}

/** An image that is younger is as good as the server itself. */
const recentMs = 3_600_000
const gib = 1024 ** 3
/** In which Nova rebuilds a server (lab finding, §9). */
const rebuildStates = new Set(['ACTIVE', 'SHUTOFF', 'ERROR'])
/** The first disk of a machine, however its bus calls it. */
const firstDisk = /^(?:\/dev\/)?(?:[svh]d|xvd|ubd)a$/

/** Plans a new server that is as the image. */
export function planNewServer(wish: NewServerWish, facts: NewServerFacts): RestorePlan {
  const { image, snapshots, servers, quotas, volumeQuotas, volumeTypes } = facts
  const findings = aboutImage(facts)
  const blocks = (code: RestoreFindingCode, message: string) => void findings.push({ code, blocks: true, message })
  const devices = imageDevices(image)
  const flavor = chooseFlavor(wish, facts, blocks)

  if (wish.keyName !== undefined && !facts.hasKey) blocks('KEY_UNKNOWN', `There is no key "${wish.keyName}" of the user of these credentials. "openstack keypair list" shows those that there are.`)
  if (wish.volumeType !== undefined) {
    if (devices.length === 0) blocks('VOLUME_TYPE_UNUSABLE', `Image "${image.name}" has no volumes that could be of the type "${wish.volumeType}": its server has its disk on the compute host.`)
    else if (devices.some(({ device }) => device === undefined)) blocks('VOLUME_TYPE_UNUSABLE', `Image "${image.name}" does not say which of its volumes is which, so they can be of no other type than they were.`)
    else if (!volumeTypes.some(({ id, name }) => wish.volumeType === id || wish.volumeType === name)) blocks('VOLUME_TYPE_UNKNOWN', `There is no volume type "${wish.volumeType}". There are: ${volumeTypes.map(({ name }) => name).join(', ')}.`)
  }
  const room = (code: RestoreFindingCode, { limit, used }: Quota, more: number, what: string) => {
    if (used + more > (limit ?? Infinity)) blocks(code, `The project may have ${limit} ${what} and has ${used}; the new server needs ${more} more. Delete something, or have the quota raised.`)
  }
  room('QUOTA_INSTANCES', quotas.instances, 1, 'servers')
  if (flavor) {
    room('QUOTA_CORES', quotas.cores, flavor.vcpus, 'VCPUs')
    room('QUOTA_RAM', quotas.ramMiB, flavor.ramMiB, 'MiB of memory')
  }
  if (volumeQuotas) {
    room('QUOTA_VOLUMES', volumeQuotas.volumes, devices.length, 'volumes')
    room('QUOTA_GIGABYTES', volumeQuotas.gigabytes, devices.reduce((sum, { snapshot }) => sum + (snapshots.get(snapshot)?.sizeGiB ?? 0), 0), 'GiB of volumes and volume snapshots')
  }
  const namesakes = servers.filter(({ name }) => name === wish.name)
  if (namesakes.length > 0) findings.push({ code: 'NAME_TAKEN', blocks: false, message: `There is a server "${wish.name}" already (${namesakes.map(({ id }) => id).join(', ')}); with the new one a name no longer tells which is meant.` })

  if (!flavor || findings.some(isBlocking)) return refused(image, findings)
  const { volumeType: type, ...rest } = wish
  const order: RestoreOrder = {
    kind: 'new',
    volumes: devices.length,
    server: { ...rest, image: image.id, flavor: flavor.id, volumes: type === undefined ? [] : devices.map((each) => ({ ...each, device: each.device!, type })) },
  }
  const steps = [
    `A new server "${wish.name}" is made of image ${describe(image)}, of flavor ${flavor.name} (${flavor.vcpus} VCPU, ${flavor.ramMiB} MiB of memory, ${flavor.diskGiB} GiB of disk). No other server is touched.`,
    ...devices.map(({ snapshot, device, deleteOnTermination }) => {
      const kind = type === undefined ? '' : ` of type ${type}`
      const where = device === undefined ? '' : `, for ${device}`
      const end = deleteOnTermination ? 'is deleted with the server' : 'stays when the server is deleted'
      return `A new volume${kind} of ${snapshots.get(snapshot)!.sizeGiB} GiB is made of volume snapshot ${snapshot}${where}; it ${end}.`
    }),
    networkStep(wish),
  ]
  return { image, findings, steps, order }
}

/** Plans to overwrite the root disk of a server with the image. */
export function planRebuild(facts: RebuildFacts): RestorePlan {
  const { image, server, flavor, project, images, now } = facts
  const findings = aboutImage(facts)
  const find = (blocking: boolean) => (code: RestoreFindingCode, message: string) => void findings.push({ code, blocks: blocking, message })
  const [blocks, warns] = [find(true), find(false)]
  const useNew = 'Make a new server instead: --new NAME.'

  if (isVolumeBacked(server)) {
    blocks('SERVER_VOLUME_BACKED', `Server "${server.name}" boots from a volume. OpenStack does not put a volume snapshot back into a volume that is in use, and a rebuild would lose the volume. ${useNew}`)
  } else if (volumeSnapshots(image).kind !== 'none') {
    blocks('IMAGE_VOLUME_BACKED', `Image "${image.name}" is of a volume-backed server and holds no bytes itself; OpenStack would rebuild "${server.name}" from nothing. ${useNew}`)
  }
  if (server.taskState !== null) blocks('SERVER_BUSY', `Server "${server.name}" is busy (${server.taskState}). Try again when it no longer is.`)
  else if (!rebuildStates.has(server.status)) blocks('SERVER_STATE', `Server "${server.name}" is in state ${server.status}, in which OpenStack rebuilds nothing; it has to be ACTIVE, SHUTOFF or ERROR.`)
  if (server.locked) blocks('SERVER_LOCKED', `Server "${server.name}" is locked. Unlock it first: openstack server unlock ${server.id}`)
  if (flavor && !isVolumeBacked(server)) {
    const lack = lackOf(flavor, image, false)
    if (lack) blocks('FLAVOR_TOO_SMALL', `Server "${server.name}" is of flavor ${flavor.name}, which is too small for image "${image.name}": ${lack}.`)
  }

  const source = image.properties[marks.server]
  if (source !== undefined && source !== server.id) warns('IMAGE_OF_ANOTHER_SERVER', `Image "${image.name}" is of server ${source}, and not of "${server.name}".`)
  if (server.volumes.length > 0) {
    warns('VOLUMES_NOT_RESTORED', `The ${counted(server.volumes.length, 'attached volume')} of "${server.name}" ${server.volumes.length === 1 ? 'stays as it is' : 'stay as they are'} now. Only the root disk goes back in time.`)
  }
  const newest = newestGood(server, images, project)
  if (newest === undefined || now.getTime() - newest.createdAt.getTime() > recentMs) {
    const there = newest ? `The newest good scheduled image of "${server.name}" is of ${minute(newest.createdAt)}` : `There is no good scheduled image of "${server.name}"`
    warns('NO_RECENT_IMAGE', `${there}. To be able to come back to what is on it now, take one first: scheduled-images snapshot ${server.id}`)
  }

  if (findings.some(isBlocking)) return refused(image, findings)
  const ephemeral = (flavor?.ephemeralGiB ?? 0) > 0 ? ['Its ephemeral disk is made anew, and is empty then.'] : []
  const steps = [
    `The root disk of server "${server.name}" (${server.id}) is overwritten with image ${describe(image)}. ${source === server.id ? `What was written to it after ${minute(image.createdAt)}` : 'Everything on it'} is lost.`,
    ...ephemeral,
    'The server keeps its id, name, flavor, key, metadata, ports, addresses and attached volumes.',
    server.status === 'SHUTOFF' ? 'It is stopped, and stays so.' : 'It is down meanwhile, and boots afterwards.',
  ]
  return { image, findings, steps, order: { kind: 'rebuild', server, image: image.id } }
}

const isBlocking = ({ blocks }: RestoreFinding) => blocks

function refused(image: Image, findings: readonly RestoreFinding[]): RestorePlan {
  return { image, findings: findings.filter(isBlocking), steps: [], order: undefined }
}

/** What is wrong with the image itself, or worth knowing of it. */
function aboutImage({ image, snapshots, project }: ImageFacts): RestoreFinding[] {
  const findings: RestoreFinding[] = []
  const judged = goodness(image, new Map([...snapshots].map(([id, { status }]) => [id, status])))
  if (!judged.good) {
    const elsewhere = image.owner !== project && volumeSnapshots(image).kind === 'snapshots'
    const advice = elsewhere
      ? 'It belongs to another project, and Cinder shares no volume snapshots between projects.'
      : judged.pending
        ? 'Try again when it is finished.'
        : image.status === 'deactivated'
          ? `Somebody has deactivated it: openstack image set --activate ${image.id}`
          : 'Choose another image.'
    findings.push({ code: 'IMAGE_NOT_GOOD', blocks: true, message: `Image "${image.name}" (${image.id}) cannot be restored: ${judged.reason}. ${advice}` })
  }
  if (!scheduledImage(image, project)) findings.push({ code: 'IMAGE_NOT_SCHEDULED', blocks: false, message: `Image "${image.name}" is none of the scheduled images of this project.` })
  return findings
}

function chooseFlavor({ flavor: wished }: NewServerWish, { image, source, flavors }: NewServerFacts, blocks: (code: RestoreFindingCode, message: string) => void): Flavor | undefined {
  const volumeBacked = volumeSnapshots(image).kind === 'snapshots'
  const fitting = flavors.filter((flavor) => lackOf(flavor, image, volumeBacked) === undefined).map(({ name }) => name)
  const choice = fitting.length > 0 ? `Those that fit: ${fitting.toSorted().join(', ')}.` : 'None of this cloud fits.'
  const flavor = wished === undefined ? flavors.find(({ id }) => id === source?.flavor) : (flavors.find(({ id }) => id === wished) ?? flavors.find(({ name }) => name === wished))
  if (!flavor) {
    if (wished !== undefined) blocks('FLAVOR_UNKNOWN', `There is no flavor "${wished}". ${choice}`)
    else blocks('FLAVOR_REQUIRED', `${whyUnknown(image, source)}, so --flavor has to say how large the new one is to be. ${choice}`)
    return undefined
  }
  const lack = lackOf(flavor, image, volumeBacked)
  if (lack) blocks('FLAVOR_TOO_SMALL', `Flavor ${flavor.name} is too small for image "${image.name}": ${lack}. ${choice}`)
  return flavor
}

/** Why it is not known which flavor a server had, as the beginning of a sentence. */
function whyUnknown(image: Image, source: ServerDetails | undefined): string {
  if (source) return `The flavor of server "${source.name}" no longer exists`
  return image.properties[marks.server] === undefined ? `Image "${image.name}" does not say which server it is of` : `The server that image "${image.name}" is of no longer exists`
}

/** Why a flavor is too small for an image, as the end of a sentence; undefined if it is not. */
function lackOf(flavor: Flavor, image: Image, volumeBacked: boolean): string | undefined {
  if (flavor.ramMiB < image.minRamMiB) return `it has ${flavor.ramMiB} MiB of memory, and the image needs ${image.minRamMiB}`
  if (volumeBacked) return undefined
  if (flavor.diskGiB === 0) return 'it has no disk, and is for servers that boot from a volume'
  const needed = Math.max(image.minDiskGiB, Math.ceil((image.size ?? 0) / gib))
  return flavor.diskGiB < needed ? `it has ${flavor.diskGiB} GiB of disk, and the image needs ${needed}` : undefined
}

/**
 * Whether a server boots from a volume. A restored one shows an image all the same (lab finding, §9), so it is the device that
 * tells; a server without an image has nothing else to boot from.
 */
function isVolumeBacked({ image, devices }: ServerDetails): boolean {
  return image === undefined || Object.values(devices).some((device) => firstDisk.test(device))
}

/** Of an ordinary server: its images have bytes of their own. */
function newestGood(server: Server, images: readonly Image[], project: string): Image | undefined {
  return images
    .filter((image) => scheduledImage(image, project)?.server === server.id && goodness(image, undefined).good)
    .toSorted((one, other) => other.createdAt.getTime() - one.createdAt.getTime())[0]
}

function networkStep({ networks, volumeType, securityGroups }: NewServerWish): string {
  const groups = securityGroups.length > 0 ? ` Security groups: ${securityGroups.join(', ')}.` : ''
  if (networks === 'none') return 'It has no network.'
  if (typeof networks === 'object') return `It is on the ${counted(networks.length, 'network')} ${networks.join(', ')}, with new addresses.${groups}`
  const only = "It is on the project's only network, with a new address"
  return `${networks === 'auto' || volumeType !== undefined ? `${only}, or one that OpenStack makes` : only}.${groups}`
}

/** `"Daily-web-1-1795222800" (1a5…) of 2026-11-21 01:00 UTC` */
function describe({ name, id, createdAt }: Image): string {
  return `"${name}" (${id}) of ${minute(createdAt)}`
}

function minute(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
