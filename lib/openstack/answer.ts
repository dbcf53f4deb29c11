import type * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'
import type { Quota } from '../model/quota.ts'
import type { Answer } from './transport.ts'

/** @throws ScheduledImagesError `ANSWER_INVALID`, which names the field and shows nothing of the body. */
export function parseAnswer<Schema extends z.ZodType>(answer: Answer, schema: Schema, what: string): z.output<Schema> {
  const parsed = schema.safeParse(json(answer.text))
  if (parsed.success) return parsed.data
  const fields = [...new Set(parsed.error.issues.map(({ path }) => path.join('.') || 'the body'))].slice(0, 3).join(', ')
  throw new ScheduledImagesError('ANSWER_INVALID', `${what} was answered with something that is not understood (${fields}).`, { requestId: answer.requestId })
}

/** Nova, Cinder and Glance write -1 for no limit. */
export function quotaOf(limit: number, used: number): Quota {
  return { limit: limit < 0 ? undefined : limit, used }
}

/** undefined for what is not JSON, which no schema accepts. */
export function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
