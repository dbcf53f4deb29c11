/** What the functions count and measure, with its unit as CloudWatch names it. Alarms and dashboards go by the names. */
export const metricUnits = {
  /** Requests for an image that OpenStack accepted. */
  ImagesStarted: 'Count',
  /** Images that became good. */
  ImagesGood: 'Count',
  /** Attempts that failed; not a busy server, which is asked again. */
  ImagesFailed: 'Count',
  /** Periods that ended without a good image. */
  RunsMissed: 'Count',
  /** Images that retention deleted. */
  ImagesDeleted: 'Count',
  /** How long OpenStack took to make a good image. */
  ImageDuration: 'Seconds',
  /** At each tick: images that are being made. */
  ImagesInFlight: 'Count',
  /** At each tick: items that cannot be used. */
  SchedulesInvalid: 'Count',
  /** At each tick: schedules without the good image that they should have by now. */
  SchedulesOverdue: 'Count',
  /** Plans of a cloud that broke a law, and were not carried out. */
  PlansRefused: 'Count',
  /** Images beyond retention that were left for the next tick, since `MAX_DELETES` was reached. */
  DeletionsCapped: 'Count',
} as const satisfies Record<string, 'Count' | 'Seconds'>

export type MetricName = keyof typeof metricUnits
