import { hasCode, ScheduledImagesError } from '../model/errors.ts'
import { marks, volumeSnapshots, type Image, type VolumeSnapshot } from '../model/image.ts'
import type { ServerDetails } from '../model/server.ts'
import { planNewServer, planRebuild, type NewServerWish, type RestoreOrder, type RestorePlan } from '../planner/restore.ts'
import { listWithHidden } from './observation.ts'
import type { RestoreCloud } from './ports.ts'

const pollMs = 2000
/** A large volume takes its time; one that takes longer is looked at by a person. */
const mostWaitMs = 60 * 60_000

/** Looks at everything that a new server of an image depends on, and changes nothing. */
export async function preflightNewServer(image: Image, wish: NewServerWish, cloud: RestoreCloud, now: Date): Promise<RestorePlan> {
  const { compute, blockStorage, project } = cloud
  const ofVolumes = volumeSnapshots(image).kind === 'snapshots'
  const origin = image.properties[marks.server]
  const [snapshots, source, servers, flavors, quotas, volumeQuotas, volumeTypes, hasKey] = await Promise.all([
    snapshotsFor(image, cloud),
    origin === undefined ? undefined : compute.inspectServer(origin),
    compute.listServers(),
    compute.listFlavors(),
    compute.getQuotas(),
    ofVolumes ? blockStorage.getQuotas() : undefined,
    wish.volumeType !== undefined && ofVolumes ? blockStorage.listVolumeTypes() : [],
    wish.keyName !== undefined && compute.hasKey(wish.keyName),
  ])
  return planNewServer(wish, { now, image, project, snapshots, source, servers, flavors, quotas, volumeQuotas, volumeTypes, hasKey })
}

/**
 * Looks at everything that overwriting a server with an image depends on, and changes nothing.
 *
 * @param id - Of the server.
 * @throws ScheduledImagesError `SERVER_NOT_FOUND`.
 */
export async function preflightRebuild(image: Image, id: string, cloud: RestoreCloud, now: Date): Promise<RestorePlan> {
  const [snapshots, server, flavors, images] = await Promise.all([snapshotsFor(image, cloud), cloud.compute.inspectServer(id), cloud.compute.listFlavors(), listWithHidden(cloud, {})])
  if (!server) throw new ScheduledImagesError('SERVER_NOT_FOUND', `No server with a name or ID of "${id}" exists.`)
  return planRebuild({ now, image, project: cloud.project, snapshots, server, images, flavor: flavors.find((flavor) => flavor.id === server.flavor) })
}

/**
 * Asks the cloud for what was planned.
 *
 * @returns the id of the server.
 * @throws ScheduledImagesError `RESTORE_REFUSED`, when nothing was begun, or `ANSWER_LOST`, when it may have been.
 */
export async function beginRestore(order: RestoreOrder, cloud: RestoreCloud): Promise<string> {
  try {
    if (order.kind === 'new') return await cloud.compute.createServer(order.server)
    await cloud.compute.rebuildServer(order.server.id, order.image)
    return order.server.id
  } catch (error) {
    if (!hasCode(error, 'ANSWER_LOST')) throw error
    const look = order.kind === 'new' ? 'openstack server list' : `openstack server show ${order.server.id}`
    throw new ScheduledImagesError('ANSWER_LOST', `${error.message} Look before you try again: ${look}`, { cause: error, requestId: error.requestId })
  }
}

export interface WaitOptions {
  readonly clock: () => Date
  readonly sleep: (ms: number) => Promise<void>
  /** When it is aborted the wait ends; the cloud goes on. */
  readonly interrupted: AbortSignal
  /** Told of each look: `BUILD (spawning)`. */
  readonly progress: (state: string) => void
}

/**
 * Waits until a restore that was begun is done: the server runs, or is stopped as it was, and its volumes are in use. Nova
 * says `ACTIVE` also of a server whose volume was lost (lab finding, §9), so each volume is looked at.
 *
 * @returns the server; undefined when the wait was interrupted.
 * @throws ScheduledImagesError `RESTORE_FAILED`, or `RESTORE_UNFINISHED` when it can be waited for no longer.
 */
export async function untilRestored(id: string, order: RestoreOrder, cloud: RestoreCloud, { clock, sleep, interrupted, progress }: WaitOptions): Promise<ServerDetails | undefined> {
  const end = clock().getTime() + mostWaitMs
  const aborted = new Promise<void>((resolve) => interrupted.addEventListener('abort', () => resolve(), { once: true }))
  while (!interrupted.aborted) {
    const seen = await look(id, order, cloud)
    if (seen.done) return seen.server
    progress(seen.state)
    if (clock().getTime() >= end) throw unfinished(id, `The server is not restored after an hour; it is ${seen.state}.`)
    await Promise.race([sleep(pollMs), aborted])
  }
  return undefined
}

type Seen = { readonly done: true; readonly server: ServerDetails } | { readonly done: false; readonly state: string }

async function look(id: string, order: RestoreOrder, cloud: RestoreCloud): Promise<Seen> {
  try {
    const server = await cloud.compute.inspectServer(id)
    if (!server) throw failed(`Server ${id} is gone: somebody has deleted it.`)
    const { status, taskState, fault, image, name } = server
    if (status === 'ERROR') throw failed(`Server "${name}" (${id}) is in ERROR${fault ? `: ${fault.replace(/\.$/, '')}` : ''}. ${order.kind === 'new' ? `Delete it: openstack server delete ${id}` : 'Its root disk may be lost; restore it once more, or make a new server of the image.'}`)
    const settled = taskState === null && (status === 'ACTIVE' || (order.kind === 'rebuild' && status === 'SHUTOFF'))
    if (!settled) return { done: false, state: taskState === null ? status : `${status} (${taskState})` }
    if (order.kind === 'rebuild') {
      if (image !== order.image) throw failed(`Server "${name}" (${id}) was not rebuilt: it still shows image ${image}.`)
      return { done: true, server }
    }
    const volumes = await Promise.all(server.volumes.map((volume) => cloud.blockStorage.getVolume(volume)))
    const broken = volumes.find((volume) => volume?.status.startsWith('error'))
    if (broken) throw failed(`Server "${name}" (${id}) runs, but its volume ${broken.id} is in ${broken.status}. Delete it: openstack server delete ${id}`)
    const ready = volumes.filter((volume) => volume?.status === 'in-use').length
    return ready < order.volumes ? { done: false, state: `${status}, ${ready} of ${order.volumes} volumes in use` } : { done: true, server }
  } catch (error) {
    if (!hasCode(error) || error.code === 'RESTORE_FAILED') throw error
    throw unfinished(id, `The restore can no longer be watched: ${error.message}`)
  }
}

function failed(message: string): ScheduledImagesError {
  return new ScheduledImagesError('RESTORE_FAILED', message)
}

function unfinished(id: string, message: string): ScheduledImagesError {
  return new ScheduledImagesError('RESTORE_UNFINISHED', `${message} It goes on in the cloud: openstack server show ${id}`)
}

/** Cinder's snapshots, if the image needs any. A cloud without Cinder has ordinary images. */
async function snapshotsFor(image: Image, { blockStorage }: RestoreCloud): Promise<ReadonlyMap<string, VolumeSnapshot>> {
  return volumeSnapshots(image).kind === 'snapshots' ? blockStorage.listSnapshots() : new Map()
}
