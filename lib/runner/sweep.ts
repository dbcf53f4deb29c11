import type { Image, VolumeSnapshot } from '../model/image.ts'
import { runKeyText, type Deletion, type Run, type Sweep } from '../model/run.ts'
import { isImageOf, strandedSnapshots } from '../planner/ownership.ts'
import { deleteLeftover, deleteSnapshot } from './deletion.ts'
import type { Observation } from './observation.ts'
import type { Ports } from './ports.ts'

/** What a request left unanswered may bring, it brings within this time. */
const watchedMs = 3_600_000

/** What is written down of an attempt that failed, before it is recorded as failed. */
export function sweepOf({ cloud, server, schedule, period, runId, imageName, volumes, startedAt }: Run, refused: boolean): Sweep {
  return { cloud, server, schedule, period, runId, imageName, volumes, startedAt, refused }
}

/**
 * Cleans up after an attempt that failed: an image that came of it all the same puts its run in flight again, and Cinder
 * snapshots that no image names are deleted. For an hour it looks again, and then until nothing is left.
 *
 * @returns The number of Cinder snapshots that are still there.
 */
export async function sweep(attempt: Sweep, observed: Observation, ports: Ports): Promise<number> {
  const { cloud, images } = observed
  const run = (await ports.runs.get([attempt])).get(runKeyText(attempt))
  const current = run?.runId === attempt.runId ? run : undefined
  // It is written down before its run is recorded as failed.
  if (current?.status === 'starting') return 0
  if (current?.status === 'saving' || current?.status === 'good') {
    await ports.runs.removeSweep(attempt)
    return 0
  }
  const late = [...images.values()].find((image) => isImageOf(attempt, image, cloud.project))
  if (late) return attempt.refused && late.status === 'queued' ? discard(late, attempt, observed, ports) : resume(late, current, attempt, ports)
  const stranded = attempt.volumes.length > 0 ? await findStranded(attempt, observed) : []
  for (const { id, status } of stranded ?? []) {
    if (status === 'deleting') continue
    ports.log.info(`volume snapshot ${id} was left behind by an attempt that failed`, { ...fieldsOf(attempt), snapshot: id })
    await deleteSnapshot(id, fieldsOf(attempt), cloud, ports)
  }
  if (stranded?.length === 0 && ports.clock().getTime() - attempt.startedAt.getTime() >= watchedMs) await ports.runs.removeSweep(attempt)
  return stranded?.length ?? 0
}

/** Puts a run in flight again whose image came late; a later attempt may have taken its place. */
async function resume(image: Image, run: Run | undefined, attempt: Sweep, ports: Ports): Promise<number> {
  const fields = { ...fieldsOf(attempt), image: image.id }
  if (run) {
    const { problem: _problem, retryAt: _retryAt, ...rest } = run
    if (!(await ports.runs.advance(run, { ...rest, status: 'saving', image: image.id }))) return 0
    ports.log.info('the image of an attempt that was given up is there after all', fields)
  } else {
    ports.log.warn(`image ${image.id} came of an attempt that another one has replaced; it is neither counted nor deleted. Delete it if it is not wanted.`, fields)
  }
  await ports.runs.removeSweep(attempt)
  return 0
}

/** Deletes the image of an attempt that Nova refused. */
async function discard(image: Image, { cloud, server, schedule, period, runId }: Sweep, observed: Observation, ports: Ports): Promise<number> {
  const deletion: Deletion = { cloud, server, schedule, image: image.id, snapshots: [], startedAt: ports.clock(), leftoverOf: { period, runId } }
  await ports.runs.putDeletion(deletion)
  return (await deleteLeftover(deletion, observed, ports)) ? 0 : 1
}

/** Undefined when Cinder's snapshots could not be listed. */
async function findStranded(attempt: Sweep, { snapshots, everyImage }: Observation): Promise<VolumeSnapshot[] | undefined> {
  const listed = await snapshots()
  if (listed === undefined) return undefined
  // Listed after the snapshots, and whatever their marks: whoever has such a snapshot in an image has use for it.
  return strandedSnapshots(attempt, listed.values(), await everyImage())
}

function fieldsOf({ cloud, server, schedule, period }: Sweep) {
  return { cloud, server, schedule, period }
}
