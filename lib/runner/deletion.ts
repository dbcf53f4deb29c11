import { hasCode } from '../model/errors.ts'
import { volumeSnapshots, type Image } from '../model/image.ts'
import type { Deletion, Run } from '../model/run.ts'
import type { SnapshotStatuses } from '../planner/goodness.ts'
import type { Cloud, Ports } from './ports.ts'

/** An image that is to go, and whose it is. */
export type Doomed =
  | { readonly image: Image; readonly run: Run }
  | { readonly image: Image; readonly cloud: string; readonly server: string; readonly schedule: string; readonly snapshots: readonly string[] }

/**
 * Deletes an image, and then its Cinder snapshots.
 *
 * Glance leaves the snapshots of a volume-backed image behind, and then nothing names them any more. So the intent is
 * written down first; it stays until the snapshots have been seen gone, since Cinder accepts a deletion that fails later.
 *
 * @returns Whether the image is gone. A refusal is logged, and everything stays as it was.
 */
export async function deleteImage(doomed: Doomed, cloud: Cloud, ports: Ports): Promise<boolean> {
  const { image } = doomed
  const deletion = deletionOf(doomed, ports.clock())
  const fields = { cloud: deletion.cloud, server: deletion.server, schedule: deletion.schedule, image: image.id }
  if (deletion.snapshots.length > 0) await ports.runs.putDeletion(deletion)
  try {
    if (!(await cloud.image.deleteImage(image.id))) ports.log.info('the image was gone already', fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
    if (deletion.snapshots.length > 0) await ports.runs.removeDeletion(deletion)
    return false
  }
  for (const snapshot of deletion.snapshots) await deleteSnapshot(snapshot, deletion, cloud, ports)
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

function deletionOf(doomed: Doomed, startedAt: Date): Deletion {
  const { image } = doomed
  if ('run' in doomed) {
    const mapping = volumeSnapshots(image)
    const { cloud, server, schedule } = doomed.run
    return { cloud, server, schedule, image: image.id, snapshots: mapping.kind === 'snapshots' ? [...mapping.ids] : [], startedAt }
  }
  const { cloud, server, schedule, snapshots } = doomed
  return { cloud, server, schedule, image: image.id, snapshots: [...snapshots], startedAt }
}
