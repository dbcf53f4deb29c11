import * as z from 'zod'
import { ScheduledImagesError } from '../lib/model/errors.ts'

// The package of each function holds the chunks of all. They are the same chunks as long as every handler imports the same of
// zod, and lib/wiring.ts before anything else of lib; a test of the packages' size notices.

/** EventBridge's event has its scheduled time; `serverless invoke` may send nothing at all. */
const tickSchema = z.looseObject({ time: z.iso.datetime({ offset: true }).optional() })

/** What SQS delivers. */
const messagesSchema = z.looseObject({ Records: z.array(z.looseObject({ messageId: z.string(), body: z.string() })) })

/** A tick of the future would start images before their time. Clocks differ by less than this. */
const clockSkewMs = 5 * 60_000

/**
 * The scheduled time of a timer's event.
 *
 * @returns the time by the clock for an event that has none.
 * @throws ScheduledImagesError `EVENT_INVALID`, which names the field and its value.
 */
export function scheduledTime(event: unknown, clock: Date): Date {
  if (typeof event !== 'object' || event === null) return clock
  const parsed = tickSchema.safeParse(event)
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

/** @throws ScheduledImagesError `EVENT_INVALID`. */
export function messagesOf(event: unknown): readonly { readonly messageId: string; readonly body: string }[] {
  const parsed = messagesSchema.safeParse(event)
  if (!parsed.success) throw new ScheduledImagesError('EVENT_INVALID', 'The event holds no messages of a queue ("Records", each with "messageId" and "body"). The function "shard" is invoked by the shard queue alone.')
  return parsed.data.Records
}
