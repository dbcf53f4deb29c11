import { volumeSnapshots, type Image } from '../model/image.ts'
import type { Problem } from '../model/errors.ts'
import type { Run } from '../model/run.ts'
import { goodness, type SnapshotStatuses } from './goodness.ts'
import { isImageOf, scheduledImage } from './ownership.ts'

/** What settle does about one run in flight. */
export type FollowUp =
  /**
   * Look again at the next tick. `stuck` asks whether the server is idle: then the image will never come. A `problem` is for a
   * person to see meanwhile.
   */
  | { readonly kind: 'wait'; readonly reason: string; readonly stuck?: Problem; readonly problem?: Problem }
  /** createImage's answer was lost, but the image is there: go on with it. */
  | { readonly kind: 'adopt'; readonly image: Image }
  /** Seal it and call the run good. `kept` says that a person took the mark away: the image is theirs and stays unsealed. */
  | { readonly kind: 'good'; readonly image: Image; readonly kept: boolean; readonly notice?: string }
  /** Call the run failed. `leftover` is what it leaves behind, provably ours, to be removed. */
  | { readonly kind: 'failed'; readonly problem: Problem; readonly leftover?: Image }

const hourMs = 3_600_000

/** After this long an image that is still not there is looked into. Large images through a slow store take hours. */
export const stuckAfterMs = 6 * hourMs

/**
 * Decides what became of a run in flight.
 *
 * @param image - The run's image as Glance shows it now; undefined when Glance has none (404, not merely "not listed").
 * @param statuses - A complete listing of Cinder's snapshots; undefined when it could not be had.
 * @param clock - The time by the clock: leases and ages are judged by it, never by a tick's scheduled time.
 */
export function followUp(run: Run, image: Image | undefined, project: string, statuses: SnapshotStatuses | undefined, clock: Date): FollowUp {
  const age = clock.getTime() - run.startedAt.getTime()

  if (run.status === 'starting') {
    if (image) return { kind: 'adopt', image }
    if (clock < run.leaseUntil) return { kind: 'wait', reason: 'createImage has not been answered yet' }
    return failed('ANSWER_LOST', 'The answer of createImage was lost, and no image of this run exists.')
  }
  if (image === undefined) {
    return failed('IMAGE_GONE', `Image ${run.image} is gone: OpenStack removes it when the snapshot fails, or when the server is deleted meanwhile.`)
  }

  const ours = isImageOf(run, image, project)
  const verdict = goodness(image, statuses)
  if (verdict.good) {
    const partial = run.volumes.length > 0 && volumeSnapshots(image).kind === 'none'
    return { kind: 'good', image, kept: !ours, ...(partial && { notice: partialNotice(run) }) }
  }
  if (!verdict.pending) {
    const mapping = volumeSnapshots(image).kind
    const code = mapping === 'snapshots' ? 'VOLUME_SNAPSHOT_FAILED' : 'IMAGE_UNUSABLE'
    // Only what is known to hold nothing is removed: a status or a mapping that is not understood is no proof of that, and a sealed image was good.
    const hollow = image.status === 'active' && mapping !== 'unreadable' && !scheduledImage(image, project)
    return { ...failed(code, `Image ${image.id} cannot be restored: ${verdict.reason}.`), ...(ours && hollow && { leftover: image }) }
  }
  if (age < stuckAfterMs) return { kind: 'wait', reason: verdict.reason }
  const problem: Problem = { code: 'IMAGE_STUCK', message: `Image ${image.id} is not there after ${Math.floor(age / hourMs)} hours: ${verdict.reason}.` }
  // Cinder finishes its snapshots however long it was away, and a volume-backed server shows no task meanwhile (lab finding, §7).
  return image.status === 'active' ? { kind: 'wait', reason: verdict.reason, problem } : { kind: 'wait', reason: verdict.reason, stuck: problem }
}

/**
 * Decides about an image that has been pending for hours, once the server has been looked at.
 *
 * @param image - As it was after the server was seen: an image becomes `active` before its server becomes idle.
 * @param idle - The server has no task, or no longer exists: nobody will ever finish the image.
 */
export function followUpStuck(run: Run, image: Image, project: string, problem: Problem, idle: boolean): Extract<FollowUp, { kind: 'wait' | 'failed' }> {
  if (!idle) {
    const message = `${problem.message} The server is still working on it; if no image is being made, a cloud administrator has to reset the state of the server.`
    return { kind: 'wait', reason: message, problem: { code: problem.code, message } }
  }
  return { kind: 'failed', problem, ...(isImageOf(run, image, project) && { leftover: image }) }
}

/**
 * Whether a createImage that Nova refused may have left something behind: a queued image when the server became busy
 * meanwhile, and Cinder snapshots of a volume-backed server, which Nova makes before it asks Glance for the image (lab
 * finding). What Nova checks before it makes any leaves none, and an answer that was lost is settled later.
 */
export function mayLeaveBehind({ volumes }: Pick<Run, 'volumes'>, code: Problem['code']): boolean {
  if (code === 'SERVER_BUSY') return true
  return volumes.length > 0 && code !== 'ANSWER_LOST' && code !== 'QUOTA_VOLUME_SNAPSHOTS' && !/^(SERVER|CLOUD)_/.test(code)
}

function failed(code: Problem['code'], message: string): Extract<FollowUp, { kind: 'failed' }> {
  return { kind: 'failed', problem: { code, message } }
}

function partialNotice(run: Run): string {
  const volumes = run.volumes.length === 1 ? 'volume is' : `${run.volumes.length} volumes are`
  return `The image holds the root disk of server "${run.serverName}" only: its attached ${volumes} not in it.`
}
