import { hasCode } from '../model/errors.ts'
import type { Image } from '../model/image.ts'
import type { Deletion } from '../model/run.ts'
import type { SnapshotStatuses } from '../planner/goodness.ts'
import type { Cloud, Ports } from './ports.ts'

/** An image that is to go, with the Cinder snapshots that are its own, and whose it is. */
export interface Doomed {
  readonly image: Image
  readonly snapshots: readonly string[]
  readonly cloud: string
  readonly server: string
  readonly schedule: string
}

/**
 * Deletes an image, and then its Cinder snapshots.
 *
 * Glance leaves the snapshots of a volume-backed image behind, and then nothing names them any more. So the intent is
 * written down first; it stays until the snapshots have been seen gone, since Cinder accepts a deletion that fails later,
 * or until the image is seen to be still there.
 *
 * @returns Whether the image is gone. A refusal is logged, and everything stays as it was.
 */
export async function deleteImage({ image, snapshots, cloud: name, server, schedule }: Doomed, cloud: Cloud, ports: Ports): Promise<boolean> {
  const deletion: Deletion = { cloud: name, server, schedule, image: image.id, snapshots: [...snapshots], startedAt: ports.clock() }
  const fields = { cloud: name, server, schedule, image: image.id }
  if (snapshots.length > 0) await ports.runs.putDeletion(deletion)
  try {
    if (!(await cloud.image.deleteImage(image.id))) ports.log.info('the image was gone already', fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
    return false
  }
  for (const snapshot of snapshots) await deleteSnapshot(snapshot, deletion, cloud, ports)
  return true
}

/**
 * Goes on with a deletion that was begun earlier.
 *
 * @param statuses - A complete listing of Cinder's snapshots.
 * @returns The number of Cinder snapshots that are still there.
 */
export async function finishDeletion(deletion: Deletion, statuses: SnapshotStatuses, cloud: Cloud, ports: Ports): Promise<number> {
  // The image's own delete may have been refused, or never sent: while it is there, its snapshots are its data.
  if (await cloud.image.getImage(deletion.image)) {
    await ports.runs.removeDeletion(deletion)
    return 0
  }
  const left = deletion.snapshots.filter((id) => statuses.has(id))
  for (const id of left) {
    if (statuses.get(id) === 'deleting') continue
    ports.log.warn(`volume snapshot ${id} of a deleted image is still there (${statuses.get(id)}); it is deleted again. If it stays, a volume made from it may depend on it.`, {
      cloud: deletion.cloud, server: deletion.server, schedule: deletion.schedule, image: deletion.image, snapshot: id,
    })
    await deleteSnapshot(id, deletion, cloud, ports)
  }
  if (left.length === 0) await ports.runs.removeDeletion(deletion)
  return left.length
}

async function deleteSnapshot(id: string, deletion: Deletion, cloud: Cloud, ports: Ports): Promise<void> {
  const fields = { cloud: deletion.cloud, server: deletion.server, schedule: deletion.schedule, image: deletion.image, snapshot: id }
  try {
    await cloud.blockStorage.deleteSnapshot(id)
    ports.log.info(`deleting volume snapshot ${id}`, fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`volume snapshot ${id} was not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
  }
}
