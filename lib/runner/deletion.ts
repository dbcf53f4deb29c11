import { hasCode, ScheduledImagesError } from '../model/errors.ts'
import { volumeSnapshots, type Image } from '../model/image.ts'
import { runKeyText, type Deletion, type RunKey } from '../model/run.ts'
import { leftoverObjection } from '../planner/gate.ts'
import type { SnapshotStatuses } from '../planner/goodness.ts'
import type { Observation } from './observation.ts'
import type { Cloud, LogFields, Ports } from './ports.ts'

/** An image that is to go, with the Cinder snapshots that are its own, and whose it is. */
export interface Doomed {
  readonly image: Image
  readonly snapshots: readonly string[]
  readonly cloud: string
  readonly server: string
  readonly schedule: string
}

/** Looks at a doomed image as it is just before the delete. @returns why it must stay after all: people may have freed it since it was listed. */
export type Objection = (image: Image) => string | undefined | Promise<string | undefined>

/**
 * Deletes an image, and then its Cinder snapshots.
 *
 * Glance leaves the snapshots of a volume-backed image behind, and then nothing names them any more. So the intent is
 * written down first; it stays until the snapshots have been seen gone, since Cinder accepts a deletion that fails later.
 *
 * @returns Whether the image is gone. A refusal is logged.
 */
export async function deleteImage(doomed: Doomed, objection: Objection, cloud: Cloud, ports: Ports): Promise<boolean> {
  const { image, snapshots, ...whose } = doomed
  const deletion: Deletion = { ...whose, image: image.id, snapshots: [...snapshots], startedAt: ports.clock() }
  if (isRecorded(deletion)) await ports.runs.putDeletion(deletion)
  return carryOut(deletion, objection, cloud, ports)
}

/**
 * Deletes what a failed attempt left behind.
 *
 * @param deletion - Written down already, with `leftoverOf`, before its run was recorded as failed.
 * @returns Whether the image is gone.
 */
export async function deleteLeftover(deletion: Deletion, { cloud, statuses, allowance }: Observation, ports: Ports): Promise<boolean> {
  if (!allowance.take()) {
    ports.log.info(`not deleted yet: MAX_DELETES allows ${ports.maxDeletes} deletions in one cloud and invocation`, fieldsOf(deletion))
    return false
  }
  const objection: Objection = async (image) => leftoverObjection(image, deletion, cloud.project, await statusesOf(image, await statuses(), cloud))
  const gone = await carryOut(deletion, objection, cloud, ports)
  if (gone && deletion.snapshots.length === 0) await ports.runs.removeDeletion(deletion)
  return gone
}

/** The states of the Cinder snapshots that an image names. What a listing lacks may be there all the same, so it is asked for. */
async function statusesOf(image: Image, listed: SnapshotStatuses | undefined, cloud: Cloud): Promise<SnapshotStatuses> {
  const mapping = volumeSnapshots(image)
  const known = new Map<string, string>()
  for (const id of mapping.kind === 'snapshots' ? mapping.ids : []) {
    const status = listed?.get(id) ?? ((await cloud.blockStorage.hasSnapshot(id)) ? undefined : 'deleted')
    if (status === undefined) throw new ScheduledImagesError('CLOUD_ERROR', `The state of its volume snapshot ${id} is not known.`)
    known.set(id, status)
  }
  return known
}

/**
 * Goes on with a deletion that was begun earlier.
 *
 * @param statuses - A complete listing of Cinder's snapshots.
 * @returns The number of images and Cinder snapshots that are still there.
 */
export async function finishDeletion(deletion: Deletion, statuses: SnapshotStatuses, observed: Observation, ports: Ports): Promise<number> {
  const { cloud } = observed
  if (await cloud.image.getImage(deletion.image)) {
    const fate = deletion.leftoverOf && (await fateOf({ ...deletion, ...deletion.leftoverOf }, ports))
    if (fate === 'failed') return (await deleteLeftover(deletion, observed, ports)) ? deletion.snapshots.length : 1
    if (fate === 'open') return 1
    // While the image is there its snapshots are its data: its own delete was refused, or never sent.
    await ports.runs.removeDeletion(deletion)
    return 0
  }
  const left = deletion.snapshots.filter((id) => statuses.has(id))
  for (const id of left) {
    if (statuses.get(id) === 'deleting') continue
    ports.log.warn(`volume snapshot ${id} of a deleted image is still there (${statuses.get(id)}); it is deleted again. If it stays, a volume made from it may depend on it.`, {
      ...fieldsOf(deletion), snapshot: id,
    })
    await deleteSnapshot(id, fieldsOf(deletion), cloud, ports)
  }
  if (left.length === 0) await ports.runs.removeDeletion(deletion)
  return left.length
}

async function carryOut(deletion: Deletion, objection: Objection, cloud: Cloud, ports: Ports): Promise<boolean> {
  const fields = fieldsOf(deletion)
  try {
    const image = await cloud.image.getImage(deletion.image)
    const reason = image && (await objection(image))
    if (reason !== undefined) {
      ports.log.info(`not deleted: ${reason}`, fields)
      if (isRecorded(deletion)) await ports.runs.removeDeletion(deletion)
      return false
    }
    if (!image || !(await cloud.image.deleteImage(deletion.image))) ports.log.info('the image was gone already', fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
    // After any other error the image may be gone all the same: then the record is all that names its snapshots. And a leftover is named by nothing else.
    if (hasCode(error, 'FORBIDDEN', 'CONFLICT') && isRecorded(deletion) && !deletion.leftoverOf) await ports.runs.removeDeletion(deletion)
    return false
  }
  for (const snapshot of deletion.snapshots) await deleteSnapshot(snapshot, fields, cloud, ports)
  return true
}

/** An image without snapshots is found again by the next listing, unless no listing would doom it. */
function isRecorded({ snapshots, leftoverOf }: Deletion): boolean {
  return snapshots.length > 0 || leftoverOf !== undefined
}

/** What became of an attempt: only of one that has failed for good may anything be deleted. */
export async function fateOf({ server, schedule, period, runId }: RunKey & { readonly runId: string }, ports: Ports): Promise<'failed' | 'open' | 'good'> {
  const key = { server, schedule, period }
  const run = (await ports.runs.get([key])).get(runKeyText(key))
  if (run?.runId !== runId || run.status === 'failed' || run.status === 'missed') return 'failed'
  return run.status === 'good' ? 'good' : 'open'
}

function fieldsOf({ cloud, server, schedule, image }: Deletion) {
  return { cloud, server, schedule, image }
}

/** Asks Cinder to delete a snapshot. A refusal is logged: the record that named it brings it up again. */
export async function deleteSnapshot(id: string, whose: LogFields, cloud: Cloud, ports: Ports): Promise<void> {
  const fields = { ...whose, snapshot: id }
  try {
    await cloud.blockStorage.deleteSnapshot(id)
    ports.log.info(`deleting volume snapshot ${id}`, fields)
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.warn(`volume snapshot ${id} was not deleted: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
  }
}
