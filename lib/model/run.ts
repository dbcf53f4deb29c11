import * as z from 'zod'
import type { ErrorCode } from './errors.ts'

/**
 * One turn of a schedule, named by its scheduled instant: its local date (`2026-11-21`), for custom the instant in UTC
 * (`2026-11-21T06:01Z`). Periods of one schedule are ordered as text.
 */
export type Period = string

const instant = z.iso.datetime().transform((text) => new Date(text))

/**
 * One (server, schedule, period): at most one good image comes of it.
 *
 *     (none) ──claim──▶ starting ──createImage answered──▶ saving ──settle──▶ good
 *                          │ lost answer: found again by run id    │
 *                          └──────────────▶ failed ◀───────────────┘   failed ──claim──▶ starting;  ──period over──▶ missed
 */
export const runSchema = z.object({
  cloud: z.string(),
  /** UUID of the server. */
  server: z.string(),
  serverName: z.string(),
  /** `<cadence>/<schedule>`. */
  schedule: z.string(),
  period: z.string(),
  status: z.enum(['starting', 'saving', 'good', 'failed', 'missed']),
  /** Unique id of the claim; the image carries it as `scheduled_images__run`. */
  runId: z.string(),
  /** 1 for the first claim of the period. */
  attempt: z.number().int().min(1),
  /** When the schedule wanted it to start, spread included. */
  scheduledFor: instant,
  /** When the next period starts: until then a failure is tried again. */
  until: instant,
  /** When it was claimed, by the clock. */
  startedAt: instant,
  /** While `starting`: nobody else may conclude anything about the request before this. By the clock. */
  leaseUntil: instant,
  /** The ids of the Cinder volumes that the server had attached when it started. */
  volumes: z.array(z.string()),
  imageName: z.string(),
  /** Id of the image, from `saving` on. */
  image: z.string().optional(),
  /** While `good`: when Glance says that the image was made. */
  createdAt: instant.optional(),
  /** OpenStack's request id of createImage. */
  requestId: z.string().optional(),
  /** While `failed`: not claimed again before this. */
  retryAt: instant.optional(),
  /** Since when each attempt has found the server busy. */
  busySince: instant.optional(),
  /** While `failed` or `missed`: why. While it is in flight: what the last attempt met, or what keeps it from being settled. While `good`: that its server could not be started again; that comes before any other. */
  problem: z.object({ code: z.custom<ErrorCode>((code) => typeof code === 'string'), message: z.string() }).optional(),
})

export type Run = z.output<typeof runSchema>

/** Names one run; what the runs table is keyed by. */
export interface RunKey {
  readonly server: string
  readonly schedule: string
  readonly period: Period
}

/** Two keys are the same run when these are equal. */
export function runKeyText({ server, schedule, period }: RunKey): string {
  return `${server} ${period}#${schedule}`
}

/**
 * The intent to delete an image with its Cinder snapshots, written down before the first delete goes out: once the image is
 * gone, nothing else says which snapshots were its own (lab finding: Cinder's deletes answer 202 and can fail later).
 */
export const deletionSchema = z.object({
  cloud: z.string(),
  /** UUID of the server. */
  server: z.string(),
  schedule: z.string(),
  image: z.string(),
  /** Ids of the Cinder snapshots that are still to be deleted, or to be seen gone. */
  snapshots: z.array(z.string()),
  startedAt: instant,
  /** Set for what a failed attempt left behind: then the image is to go as well, once its run is known to have failed. */
  leftoverOf: z.object({ period: z.string(), runId: z.string() }).optional(),
})

export type Deletion = z.output<typeof deletionSchema>

/**
 * An attempt that failed and may have left something behind, or may yet: Nova does not take back the Cinder snapshots of a
 * volume-backed server when Glance refuses the image, and a createImage whose answer was lost may still become an image.
 */
export const sweepSchema = z.object({
  cloud: z.string(),
  /** UUID of the server. */
  server: z.string(),
  schedule: z.string(),
  period: z.string(),
  runId: z.string(),
  imageName: z.string(),
  /** The ids of the Cinder volumes that the server had attached. */
  volumes: z.array(z.string()),
  startedAt: instant,
  /** Nova refused it: an image that is there all the same will never be finished. */
  refused: z.boolean(),
})

export type Sweep = z.output<typeof sweepSchema>

/**
 * The promise to start a server again that is stopped for its image, written down before the request to stop it goes out. It
 * stays until the server has been seen running.
 */
export const restartSchema = z.object({
  cloud: z.string(),
  /** UUID of the server. */
  server: z.string(),
  serverName: z.string(),
  schedule: z.string(),
  period: z.string(),
  runId: z.string(),
  startedAt: instant,
  /** It was seen stopped, and was asked to start. */
  asked: z.boolean().optional(),
  /** What a person was told of its not starting. */
  told: z.string().optional(),
})

export type Restart = z.output<typeof restartSchema>
