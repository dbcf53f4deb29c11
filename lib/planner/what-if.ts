import type { Image } from '../model/image.ts'
import type { KeepRules } from '../model/keep.ts'
import type { Evidence } from './gate.ts'
import { planRetention, type Removed, type RetentionPlan } from './retention.ts'

/** What another policy would make of the images that there are. */
export interface WhatIf {
  /** A plan for each server of the schedule, with every reason, as prune would carry it out. */
  readonly plans: readonly RetentionPlan[]
  /** What would be deleted that the present rules keep. */
  readonly doomed: readonly Removed[]
  /** What would be kept that the present rules delete. */
  readonly spared: readonly Image[]
}

/**
 * Plans retention as if a schedule had other rules, over the real images; nothing is changed by asking.
 *
 * @param schedule - `<cadence>/<schedule>`, one of `evidence.schedules`; of any other the answer is empty.
 */
export function whatIf(evidence: Evidence, schedule: string, rules: KeepRules): WhatIf {
  const present = planOf(evidence, schedule)
  const plans = planOf({ ...evidence, schedules: evidence.schedules.map((one) => (one.key === schedule ? { ...one, keep: rules } : one)) }, schedule)
  const goes = new Set(present.flatMap(({ remove }) => remove.map(({ image }) => image.id)))
  return {
    plans,
    doomed: plans.flatMap(({ remove }) => remove.filter(({ image }) => !goes.has(image.id))),
    spared: plans.flatMap(({ keep }) => keep.map(({ image }) => image).filter(({ id }) => goes.has(id))),
  }
}

function planOf({ images, schedules, existing, project, statuses }: Evidence, schedule: string): RetentionPlan[] {
  return planRetention(images, schedules, existing, project, statuses).filter((plan) => plan.schedule === schedule)
}
