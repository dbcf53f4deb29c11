import { hasCode } from '../model/errors.ts'
import { createdBy, marks, type Image } from '../model/image.ts'
import { runKeyText, type Deletion } from '../model/run.ts'
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

/** Whether an image that was doomed by a listing is so still: people may have freed it since. */
export type IsStillDoomed = (image: Image) => boolean

/**
 * Deletes an image, and then its Cinder snapshots.
 *
 * Glance leaves the snapshots of a volume-backed image behind, and then nothing names them any more. So the intent is
 * written down first; it stays until the snapshots have been seen gone, since Cinder accepts a deletion that fails later.
 *
 * @param isStillDoomed - Asked of the image as it is just before the delete.
 * @returns Whether the image is gone. A refusal is logged.
 */
export async function deleteImage(doomed: Doomed, isStillDoomed: IsStillDoomed, cloud: Cloud, ports: Ports): Promise<boolean> {
  const { image, snapshots, ...whose } = doomed
  const deletion: Deletion = { ...whose, image: image.id, snapshots: [...snapshots], startedAt: ports.clock() }
  if (isRecorded(deletion)) await ports.runs.putDeletion(deletion)
  return carryOut(deletion, isStillDoomed, cloud, ports)
}

/**
 * Deletes what a failed attempt left behind.
 *
 * @param deletion - Written down already, with `leftoverOf`, before its run was recorded as failed.
 */
export async function deleteLeftover(deletion: Deletion, cloud: Cloud, ports: Ports): Promise<void> {
  if ((await carryOut(deletion, isLeftover(deletion, cloud), cloud, ports)) && deletion.snapshots.length === 0) await ports.runs.removeDeletion(deletion)
}

/**
 * Goes on with a deletion that was begun earlier.
 *
 * @param statuses - A complete listing of Cinder's snapshots.
 * @returns The number of images and Cinder snapshots that are still there.
 */
export async function finishDeletion(deletion: Deletion, statuses: SnapshotStatuses, cloud: Cloud, ports: Ports): Promise<number> {
  if (await cloud.image.getImage(deletion.image)) {
    // While the image is there its snapshots are its data: its own delete was refused, or never sent.
    if (deletion.leftoverOf && (await hasFailed(deletion, ports))) {
      await deleteLeftover(deletion, cloud, ports)
      return 1
    }
    await ports.runs.removeDeletion(deletion)
    return 0
  }
  const left = deletion.snapshots.filter((id) => statuses.has(id))
  for (const id of left) {
    if (statuses.get(id) === 'deleting') continue
    ports.log.warn(`volume snapshot ${id} of a deleted image is still there (${statuses.get(id)}); it is deleted again. If it stays, a volume made from it may depend on it.`, {
      ...fieldsOf(deletion), snapshot: id,
    })
    await deleteSnapshot(id, deletion, cloud, ports)
  }
  if (left.length === 0) await ports.runs.removeDeletion(deletion)
  return left.length
}

async function carryOut(deletion: Deletion, isStillDoomed: IsStillDoomed, cloud: Cloud, ports: Ports): Promise<boolean> {
  const fields = fieldsOf(deletion)
  try {
    const image = await cloud.image.getImage(deletion.image)
    if (image && !isStillDoomed(image)) {
      ports.log.info('not deleted: it was changed a moment ago', fields)
      if (isRecorded(deletion)) await ports.runs.removeDeletion(deletion)
      return false
    }
    if (!image || !(await cloud.image.deleteImage(deletion.image))) ports.log.info('the image was gone already', fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
    // After any other error the image may be gone all the same: then the record is all that names its snapshots.
    if (hasCode(error, 'FORBIDDEN', 'CONFLICT') && isRecorded(deletion)) await ports.runs.removeDeletion(deletion)
    return false
  }
  for (const snapshot of deletion.snapshots) await deleteSnapshot(snapshot, deletion, cloud, ports)
  return true
}

/** An image without snapshots is found again by the next listing, unless no listing would doom it. */
function isRecorded({ snapshots, leftoverOf }: Deletion): boolean {
  return snapshots.length > 0 || leftoverOf !== undefined
}

function isLeftover({ server, leftoverOf }: Deletion, { project }: Cloud): IsStillDoomed {
  return ({ owner, properties }) => owner === project && properties[marks.run] === leftoverOf?.runId && properties[marks.server] === server && properties[marks.createdBy] === createdBy
}

/** A run that is in flight or good under this very claim has use for its image. */
async function hasFailed({ server, schedule, leftoverOf }: Deletion, ports: Ports): Promise<boolean> {
  const key = { server, schedule, period: leftoverOf!.period }
  const run = (await ports.runs.get([key])).get(runKeyText(key))
  return run === undefined || run.runId !== leftoverOf!.runId || run.status === 'failed' || run.status === 'missed'
}

function fieldsOf({ cloud, server, schedule, image }: Deletion) {
  return { cloud, server, schedule, image }
}

async function deleteSnapshot(id: string, deletion: Deletion, cloud: Cloud, ports: Ports): Promise<void> {
  const fields = { ...fieldsOf(deletion), snapshot: id }
  try {
    await cloud.blockStorage.deleteSnapshot(id)
    ports.log.info(`deleting volume snapshot ${id}`, fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`volume snapshot ${id} was not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
  }
}
