import { createdBy, marks, type Image } from '../model/image.ts'
import type { Run } from '../model/run.ts'
import type { Evidence } from './gate.ts'
import { goodness } from './goodness.ts'
import { newestFirst } from './keep.ts'
import { isImageOf, scheduledImage } from './ownership.ts'
import { planRetention } from './retention.ts'

/** What becomes of one image, as a person is told. */
export interface Appraisal {
  readonly image: Image
  /** `<cadence>/<schedule>` of its marks. */
  readonly schedule: string
  readonly period: string | undefined
  /** `kept` is what a person has taken out of the service's hands; it is not counted. `making` is not settled yet. */
  readonly verdict: 'keep' | 'delete' | 'kept' | 'making'
  /** Finishes the sentence "keep: …", "delete: …" and so on. */
  readonly reason: string
  readonly good: boolean
}

/**
 * Says of each scheduled image what the next prune makes of it, and why. Images that a person made, and those that merely
 * inherited our marks, are left out.
 *
 * @param evidence - `images` may be those of one server alone: each server's images are planned by themselves.
 * @param runs - What the runs table remembers of these servers.
 * @returns newest first.
 */
export function appraise(evidence: Evidence, runs: readonly Run[]): Appraisal[] {
  const { images, schedules, existing, project, statuses } = evidence
  const plans = planRetention(images, schedules, existing, project, statuses)
  const planned = new Map<string, Pick<Appraisal, 'verdict' | 'reason'>>()
  for (const { keep, remove } of plans) {
    for (const { image, reason } of keep) planned.set(image.id, { verdict: image.protected || image.hidden ? 'kept' : 'keep', reason })
    for (const { image, reason } of remove) planned.set(image.id, { verdict: 'delete', reason })
  }
  const usable = new Set(schedules.map(({ key }) => key))
  return images.toSorted(newestFirst).flatMap((image) => {
    const judged = planned.get(image.id) ?? unplanned(image, { project, usable, existing }, runs)
    const schedule = image.properties[marks.schedule]
    if (!judged || schedule === undefined) return []
    return [{ image, schedule, period: image.properties[marks.period], ...judged, good: goodness(image, statuses).good }]
  })
}

function unplanned(
  image: Image,
  { project, usable, existing }: Pick<Evidence, 'project' | 'existing'> & { readonly usable: ReadonlySet<string> },
  runs: readonly Run[],
): Pick<Appraisal, 'verdict' | 'reason'> | undefined {
  const { properties, owner } = image
  if (owner === project && properties[marks.seal] === image.id && properties[marks.createdBy] !== createdBy) {
    return { verdict: 'kept', reason: `its mark ${marks.createdBy} was taken away, and it is not counted` }
  }
  const scheduled = scheduledImage(image, project)
  if (scheduled) {
    const what = usable.has(scheduled.schedule) ? 'cannot be planned' : existing.has(scheduled.schedule) ? 'is disabled or invalid' : 'no longer exists'
    return { verdict: 'keep', reason: `its schedule ${scheduled.schedule} ${what}` }
  }
  const run = runs.find((one) => isImageOf(one, image, project))
  if (!run) return undefined
  if (run.status === 'failed' || run.status === 'missed') return { verdict: 'making', reason: `its attempt failed: ${run.problem?.message ?? run.status}` }
  return { verdict: 'making', reason: image.status === 'active' ? 'it counts once the next prune has found it good' : `its status is ${image.status}` }
}
