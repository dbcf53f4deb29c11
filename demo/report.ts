import { isDeepStrictEqual } from 'node:util'
import { marks, volumeSnapshots } from '../lib/model/image.ts'
import { parseSchedule, type Schedule } from '../lib/model/schedule.ts'
import { nextTurn, spreadOf } from '../lib/planner/calendar.ts'
import type { Log, LogFields } from '../lib/runner/ports.ts'
import type { SentEvent } from './aws/services.ts'
import type { ImageSeen } from './openstack/simulator.ts'
import type { Story } from './story.ts'
import type { World } from './world.ts'

/** What the functions logged. */
export interface Line {
  readonly level: keyof Log
  readonly message: string
  readonly fields: LogFields
}

/** What was seen of the functions while they ran. */
interface Observed {
  readonly from: Date
  readonly to: Date
  readonly ticks: number
  /** Ticks in which nothing was asked of OpenStack. */
  readonly quietTicks: number
  /** The functions' requests to OpenStack by service; people's are not counted. */
  readonly requests: Readonly<Record<string, number>>
  readonly lines: readonly Line[]
  readonly meanwhile: readonly { readonly at: Date; readonly what: string }[]
  readonly seconds: number
}

/** Failed attempts and missed periods of one schedule, for the same reason. */
export interface Trouble {
  /** The sentence of the events. */
  readonly message: string
  /** Oldest first. */
  readonly periods: string[]
  /** The attempts that failed: 1, 2, … in each period. */
  readonly attempts: number[]
  missed: number
}

export type ScheduleReport = ReturnType<typeof scheduleReport>
export type Report = Awaited<ReturnType<typeof report>>

/** Collects the facts from the tables, the events, the log and the cloud, and holds them against the promises. */
export async function report(world: World, story: Story, { lines, ...observed }: Observed) {
  const { openstack, aws } = world
  const images = openstack.images()
  const volumes = openstack.snapshots()
  const orphans = volumes.filter(({ id }) => !images.some((image) => snapshotsOf(image).includes(id)))
  const items = await Promise.all(
    story.schedules.map(async ({ cadence, schedule, server }) => ({ server, ...parseSchedule((await world.getSchedule(cadence, schedule))!) })),
  )
  const broken = orphans.map(({ id }) => `The volume snapshot ${id} belongs to no image.`)
  const servers = story.servers.map(({ id, name }) => ({
    id,
    name,
    status: openstack.servers().find((server) => server.id === id)?.status ?? 'gone',
    schedules: items.flatMap((item) => {
      if (!item.valid || item.server !== id) return []
      broken.push(...brokenPromises(item.schedule, id, world, observed))
      return [scheduleReport(item.schedule, world, lines)]
    }),
  }))
  const treasured = story.treasured.map(({ image, why }) => {
    const untouched = isDeepStrictEqual(image, images.find(({ id }) => id === image.id))
    if (!untouched) broken.push(`The image ${image.name}, ${why}, is gone or was changed.`)
    return { id: image.id, name: image.name, why, untouched }
  })
  const invalid = items.flatMap((item) => {
    if (item.valid) return []
    const { key, state } = item.invalid
    const events = aws.events.filter(({ type, detail }) => type === 'Schedule Invalid' && detail['schedule'] === key).length
    if (state.problem === undefined || events === 0) broken.push(`Nobody was told that ${key} is invalid.`)
    return [{ schedule: key, problem: state.problem, events }]
  })

  const schedules = servers.flatMap((server) => server.schedules)
  const known = new Set([...schedules.flatMap(({ kept }) => kept), ...treasured].map(({ id }) => id))
  const strays = images.filter(({ id, owner }) => owner === world.project.id && !known.has(id))
  broken.push(...strays.map(({ name }) => `The image ${name} was left behind.`))
  const sum = (count: (schedule: ScheduleReport) => number) => schedules.reduce((total, schedule) => total + count(schedule), 0)
  return {
    ...observed,
    servers,
    invalid,
    treasured,
    images: { made: sum(({ made }) => made), kept: sum(({ kept }) => kept.length), deleted: sum(({ deleted }) => deleted.length) },
    volumeSnapshots: { kept: volumes.length - orphans.length, orphans: orphans.length },
    broken,
  }
}

function scheduleReport(schedule: Schedule, world: World, lines: readonly Line[]) {
  const { key, keep: { last: retention }, state } = schedule
  const ours = lines.filter(({ fields }) => fields.schedule === key)
  const kept = imagesOf(schedule, world).toReversed().map((image) => ({
    id: image.id,
    name: image.name,
    createdAt: image.createdAt,
    bytes: image.size,
    volumeSnapshots: snapshotsOf(image).length,
    reason: ours.findLast(({ message, fields }) => fields.image === image.id && message.startsWith('kept: '))?.message.slice('kept: '.length),
  }))
  const deleted = ours.flatMap(({ message }) => {
    const [, name, reason] = /^deleted (.+?): (.+)$/.exec(message) ?? []
    return name && reason ? [{ name, reason }] : []
  })
  const events = eventsOf(schedule, world)
  const good = events.flatMap(({ type, detail }) => (type === 'Scheduled Image Good' ? [detail as { period: string; attempt: number; image: { name: string } }] : []))
  const later = good.filter(({ attempt }) => attempt > 1).map(({ period, attempt, image }) => ({ period, attempt, name: image.name }))
  const warnings = new Set(ours.filter(({ level }) => level === 'warn').map(({ message }) => message))
  const told = troubles(events)
  for (const { message } of told) warnings.delete(message)
  return {
    schedule: key, words: inWords(schedule), retention, ...state, made: good.length, kept, deleted, troubles: told,
    /** What was good at a later attempt only. */
    later,
    /** Warnings in the log that are no failures. */
    notices: [...warnings],
  }
}

function inWords({ dayOfWeek, at, timeZone, spread }: Schedule): string {
  const day = dayOfWeek ? `${dayOfWeek[0]!.toUpperCase()}${dayOfWeek.slice(1)}` : 'day'
  const time = [at.hour, at.minute].map((part) => String(part).padStart(2, '0')).join(':')
  return `every ${day} at ${time} ${timeZone}${spread ? `, spread over ${spread} minutes` : ''}`
}

function troubles(events: readonly SentEvent[]): Trouble[] {
  const byMessage = new Map<string, Trouble>()
  for (const { type, detail } of events) {
    if (type !== 'Scheduled Image Failed' && type !== 'Scheduled Image Missed') continue
    const { period, attempt, reason: { message } } = detail as { period: string; attempt: number; reason: { message: string } }
    const trouble = byMessage.get(message) ?? { message, periods: [], attempts: [], missed: 0 }
    byMessage.set(message, trouble)
    if (!trouble.periods.includes(period)) trouble.periods.push(period)
    if (type === 'Scheduled Image Missed') trouble.missed += 1
    else trouble.attempts.push(attempt)
  }
  return [...byMessage.values()]
}

/** What is wrong with the images of one server and schedule, by the promises and not by the functions' own account. */
function brokenPromises(schedule: Schedule, server: string, world: World, { from, to }: Pick<Observed, 'from' | 'to'>): string[] {
  const broken: string[] = []
  const available = new Set(world.openstack.snapshots().filter(({ status }) => status === 'available').map(({ id }) => id))
  const images = imagesOf(schedule, world)
  const counted = images.filter((image) => image.status === 'active' && !image.protected && snapshotsOf(image).every((id) => available.has(id)))
  const events = eventsOf(schedule, world)
  const good = events.filter(({ type }) => type === 'Scheduled Image Good')
  const expected = Math.min(schedule.keep.last, good.length - images.filter((image) => image.protected).length)
  if (counted.length !== expected) broken.push(`${schedule.key} has ${counted.length} good images and should have ${expected}.`)

  const spread = spreadOf(schedule, server)
  for (let turn = nextTurn(schedule, spread, from); turn.startsAt < to; turn = nextTurn(schedule, spread, turn.startsAt)) {
    const times = good.filter(({ detail }) => detail['period'] === turn.period).length
    const told = events.some(({ type, detail }) => detail['period'] === turn.period && /(Failed|Missed)$/.test(type))
    if (times > 1) broken.push(`${schedule.key} has ${times} good images of ${turn.period}.`)
    if (times === 0 && !told) broken.push(`${schedule.key} has no good image of ${turn.period}, and nobody was told why.`)
  }
  return broken
}

/** The sealed images of a schedule, oldest first. */
function imagesOf({ key }: Schedule, { openstack }: World): ImageSeen[] {
  return openstack.images().filter(({ id, properties }) => properties[marks.schedule] === key && properties[marks.seal] === id)
}

function eventsOf({ key }: Schedule, { aws }: World): SentEvent[] {
  return aws.events.filter(({ detail }) => detail['schedule'] === key)
}

function snapshotsOf(image: ImageSeen): readonly string[] {
  const mapping = volumeSnapshots({ ...image, name: image.name ?? '' })
  return mapping.kind === 'snapshots' ? mapping.ids : []
}
