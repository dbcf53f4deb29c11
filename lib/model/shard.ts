import * as z from 'zod'
import { ScheduledImagesError } from './errors.ts'
import { timedCadences } from './schedule.ts'

/** Written into each message. A release that changes what a message says counts it up, and refuses the others. */
export const shardVersion = 1

/** Clocks differ by less than this; work of the future would make images before their time. */
const clockSkewMs = 5 * 60_000

const common = {
  version: z.literal(shardVersion),
  cloud: z.string().min(1),
  /** The scheduled time of the tick that cut it. */
  now: z.iso.datetime().transform((text) => new Date(text)),
  /** Which one of them it is, from 1. */
  shard: z.int().min(1),
  /** Into how many the plan was cut. */
  of: z.int().min(1),
}

const schema = z.discriminatedUnion('kind', [
  z.strictObject({
    ...common,
    kind: z.literal('snapshot'),
    cadence: z.enum(timedCadences),
    /** The servers that were admitted, by the names of their schedules. */
    starts: z.array(z.strictObject({ schedule: z.string().min(1), servers: z.array(z.string().min(1)).min(1) })).min(1),
  }),
  z.strictObject({
    ...common,
    kind: z.literal('prune'),
    /** The cloud's images are to be pruned whatever is settled. */
    pruning: z.boolean(),
  }),
])

/** One cloud's part of a plan that is too large for one invocation, as it waits in a queue. It names work and holds no secret; the tables decide what of it is still to be done. */
export type Shard = z.output<typeof schema>

/** Images to ask for. */
export type SnapshotShard = Extract<Shard, { kind: 'snapshot' }>

/** The runs to settle and the images to prune of one slice of a cloud's servers. */
export type PruneShard = Extract<Shard, { kind: 'prune' }>

/**
 * Reads a message.
 *
 * @param clock - The time now.
 * @throws ScheduledImagesError `SHARD_INVALID`, which names each field, its value and what is expected.
 */
export function parseShard(text: string, clock: Date): Shard {
  const { json, parsed } = read(text)
  if (!parsed.success) {
    const version = valueAt(json, ['version'])
    if (version !== undefined && version !== shardVersion) throw invalid(`"version" is ${shown(version)}: this release reads ${shardVersion}`)
    const faults = parsed.error.issues.map(({ path, message }) => `${path.length > 0 ? `"${path.join('.')}" is ${shown(valueAt(json, path))}: ` : ''}${message}`)
    throw invalid(faults.join('; '))
  }
  const { shard, of, now } = parsed.data
  if (shard > of) throw invalid(`"shard" is ${shard}: it must be at most "of", which is ${of}`)
  if (now.getTime() > clock.getTime() + clockSkewMs) throw invalid(`"now" is ${now.toISOString()}: it must not be in the future`)
  return parsed.data
}

function read(text: string) {
  try {
    const json: unknown = JSON.parse(text)
    return { json, parsed: schema.safeParse(json) }
  } catch {
    throw invalid(`it is no JSON document; it begins with ${shown(text)}`)
  }
}

function invalid(what: string): ScheduledImagesError {
  return new ScheduledImagesError('SHARD_INVALID', `A message of the shard queue cannot be read: ${what}. Nothing of it is done. The timers plan anew at each tick, so a message of another release can be deleted.`)
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined), json)
}

/** Whoever wrote it may have written anything. */
function shown(value: unknown): string {
  const text = value === undefined ? 'missing' : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
