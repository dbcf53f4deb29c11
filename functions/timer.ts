import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import * as z from 'zod'
import { ScheduledImagesError } from '../lib/model/errors.ts'
import { wired, type Service, type Tick } from '../lib/wiring.ts'
import { conclude } from './summary.ts'

/** EventBridge's event has its scheduled time; `serverless invoke` may send nothing at all. */
const eventSchema = z.looseObject({ time: z.iso.datetime({ offset: true }).optional() })

/** A tick of the future would start images before their time. Clocks differ by less than this. */
const clockSkewMs = 5 * 60_000

/**
 * Makes a Lambda handler of a job for a timer: reads the tick from the event, logs one summary line, and sends the
 * events of what was done, whether the job succeeds or not.
 *
 * The invocation ends in error only when the job could not be done or recorded, so that Lambda tries it again; a cloud or a
 * server that fails is part of the job.
 *
 * @param serve - The service that the job is done with; by default the one that a warm Lambda keeps.
 * @returns The job's summary, so that `serverless invoke` shows it.
 */
export function timer<Summary extends { readonly faults: number }>(job: (service: Service, tick: Tick) => Promise<Summary>, serve: () => Service = wired) {
  return middy<unknown, Summary>({ timeoutEarlyInMillis: 3000 })
    .use({
      after: () => serve().flush(),
      onError: () => serve().flush(),
    })
    .handler(async (event: unknown, context: Context) => {
      const service = serve()
      const started = Date.now()
      const now = scheduledTime(event, service.clock())
      const summary = await job(service, { now, timeLeftMs: () => context.getRemainingTimeInMillis() })
      conclude(service, summary, { now: now.toISOString(), tookMs: Date.now() - started, function: context.functionName })
      return summary
    })
}

/** @throws ScheduledImagesError `EVENT_INVALID`, which names the field and its value. */
function scheduledTime(event: unknown, clock: Date): Date {
  if (typeof event !== 'object' || event === null) return clock
  const parsed = eventSchema.safeParse(event)
  if (!parsed.success) {
    throw new ScheduledImagesError('EVENT_INVALID', `The event's "time" must be an instant such as 2026-11-21T01:00:00Z, not ${JSON.stringify((event as { time?: unknown }).time)}.`)
  }
  if (parsed.data.time === undefined) return clock
  const now = new Date(parsed.data.time)
  if (now.getTime() > clock.getTime() + clockSkewMs) {
    throw new ScheduledImagesError('EVENT_INVALID', `The event's "time" is in the future: ${parsed.data.time}. A tick can be repeated, but not brought forward.`)
  }
  return now
}
