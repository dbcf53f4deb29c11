import * as z from 'zod'
import type { ErrorCode } from './errors.ts'

const cloud = z.string().describe("The cloud's name.")
const schedule = z.string().regex(/^[a-z]+\//).describe('The schedule, as <cadence>/<name>.')
const period = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?Z)?$/)
  .describe('The local date of the scheduled instant; for a custom or manual schedule the instant itself, in UTC.')
const attempt = z.number().int().min(1).describe('1 for the first attempt of the period.')
const id = z.guid()
const server = z.strictObject({ id: id.describe("The server's UUID."), name: z.string() }).describe('The server. Where a name was never looked up, its UUID stands for it.')
const imageName = z.string()
const image = z.strictObject({ id, name: imageName }).describe('The image in Glance.')
const code = z.string().regex(/^[A-Z][A-Z_]+$/).describe('What went wrong, as a stable code of docs/logs.md. Codes are added, and never renamed.') as unknown as z.ZodType<ErrorCode>
const reason = z.strictObject({ code, message: z.string().min(1).describe('A complete sentence. It holds no secret.') }).describe('Why.')

const run = { cloud, schedule, period, attempt, server }

/**
 * What the service tells of on its event bus: the `detail` of each detail-type, but for its `version`.
 *
 * The files of `docs/events/` are made of these. A detail holds nothing else than is named here.
 */
export const eventDetails = {
  'Scheduled Image Started': z.strictObject({ ...run, image }).describe('OpenStack accepted the request for an image.'),
  'Scheduled Image Good': z.strictObject({ ...run, image }).describe('An image became good.'),
  'Scheduled Image Failed': z
    .strictObject({
      cloud, schedule,
      period: period.optional(), attempt: attempt.optional(), server: server.optional(), reason,
    })
    .describe("An attempt failed. Without server, period and attempt: the schedule's server could not be found, so that there was no run. Without attempt: a server that was stopped for its image cannot be started again."),
  'Scheduled Image Missed': z.strictObject({ ...run, reason }).describe('A period ended without a good image.'),
  'Scheduled Images Pruned': z
    .strictObject({ cloud, schedule, server: z.strictObject({ id }), images: z.array(image).min(1).describe('What was deleted, oldest first.') })
    .describe('Images of one server and schedule were deleted by retention.'),
  'Scheduled Images Refused': z.strictObject({ cloud, reason }).describe('A plan to delete images of a cloud broke a law, and nothing of it was done.'),
  'Schedule Invalid': z.strictObject({ cloud, schedule, reason }).describe('An item of the schedules table cannot be used.'),
} as const

export type EventType = keyof typeof eventDetails

type Frozen<Value> = Value extends readonly (infer Item)[] ? readonly Frozen<Item>[] : Value extends object ? { readonly [Key in keyof Value]: Frozen<Value[Key]> } : Value

/** Something that happened: its detail-type as `type`, and its detail. */
export type ScheduledImageEvent = { readonly [Type in EventType]: { readonly type: Type } & Frozen<z.output<(typeof eventDetails)[Type]>> }[EventType]

/** The version of every detail. */
const version = z.literal(1).describe('The version of this form. Fields may be added within it, and none is removed or changed.')

/** The JSON Schema of one detail-type's `detail`. */
export function eventSchema(type: EventType): object {
  const { shape, description } = eventDetails[type]
  const { $schema, ...schema } = z.toJSONSchema(z.strictObject({ version, ...shape }), { target: 'draft-2020-12' })
  return { $schema, title: type, description, ...schema }
}
