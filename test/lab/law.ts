import { isDeepStrictEqual } from 'node:util'
import { marks, sealTag } from '../../lib/model/image.ts'
import type { SentEvent } from '../../demo/aws/services.ts'
import type { Json } from '../contract/harness.ts'
import type { Holdings, Scheduled } from './estate.ts'

export const retention = 3

/** All that is known at one moment. */
export interface Seen extends Holdings {
  readonly servers: readonly Scheduled[]
  /** People's images, as they were when they were made. */
  readonly people: readonly Json[]
  /** The items of the runs table. */
  readonly records: readonly Json[]
  /** The items of the schedules table. */
  readonly schedules: readonly Json[]
  readonly events: readonly SentEvent[]
  /** The periods that are over, oldest first. */
  readonly periods: readonly string[]
}

/**
 * What must hold between any two days, whatever was killed: every period has its one good image, none is lost inside
 * retention, none was made twice, and what people made is as they left it.
 *
 * @returns a sentence for each violation.
 */
export function brokenAlways(seen: Seen): string[] {
  const broken: string[] = []
  for (const server of seen.servers) {
    const sealed = sealedOf(server, seen)
    for (const period of seen.periods) {
      const runs = runsOf(server, seen).filter((run) => run['period'] === period)
      const statuses = runs.map(({ status }) => status as string)
      if (!isDeepStrictEqual(statuses, ['good'])) broken.push(`${server.label} ${period}: its runs are ${JSON.stringify(statuses)}, not one that is good`)
      const twins = sealed.filter((image) => image[marks.period] === period)
      if (twins.length > 1) broken.push(`${server.label} ${period}: ${twins.length} sealed images: ${twins.map(({ id }) => id).join(', ')}`)
      const told = seen.events.filter(({ type, detail }) => type === 'Scheduled Image Good' && detail['period'] === period && (detail['server'] as Json)['id'] === server.id)
      if (told.length > 1) broken.push(`${server.label} ${period}: ${told.length} events say that it is good`)
    }
    for (const period of seen.periods.slice(-retention)) {
      const image = imageOfRun(runsOf(server, seen).find((run) => run['period'] === period), seen)
      if (image === undefined) broken.push(`${server.label} ${period}: its image is lost inside retention`)
      else broken.push(...faultsOf(image, seen).map((fault) => `${server.label} ${period}: image ${image['id']} ${fault}`))
    }
  }
  for (const made of seen.people) {
    const now = seen.images.find(({ id }) => id === made['id'])
    if (now === undefined) broken.push(`a person's image ${made['id']} is gone`)
    else if (!isDeepStrictEqual(now, made)) broken.push(`a person's image ${made['id']} was changed: ${JSON.stringify(made)} is now ${JSON.stringify(now)}`)
    else broken.push(...missingSnapshots(now, seen).map((fault) => `a person's image ${made['id']} ${fault}`))
  }
  for (const { type, detail } of seen.events) if (type === 'Scheduled Image Missed') broken.push(`a period was given up: ${JSON.stringify(detail)}`)
  return broken
}

/** What must hold once everything has come to rest: nothing is there but what retention keeps. @returns a sentence for each violation. */
export function brokenAtRest(seen: Seen): string[] {
  const broken = brokenAlways(seen)
  const people = new Set(seen.people.map(({ id }) => id as string))
  const kept = seen.periods.slice(-retention)
  const rightful = new Set<string>()
  for (const server of seen.servers) {
    const sealed = sealedOf(server, seen)
    const periods = sealed.map((image) => image[marks.period] as string).toSorted()
    if (!isDeepStrictEqual(periods, kept)) broken.push(`${server.label}: its images are of ${JSON.stringify(periods)}, not of ${JSON.stringify(kept)}`)
    for (const { id } of sealed) rightful.add(id)
    const { state = {} } = seen.schedules.find(({ schedule }) => schedule === server.label) ?? {}
    if (state.problem !== undefined) broken.push(`${server.label}: its item shows a problem: ${state.problem}`)
    if (state.lastGood?.period !== kept.at(-1)) broken.push(`${server.label}: its item's last good image is of ${state.lastGood?.period}`)
  }
  for (const image of seen.images) {
    if (!rightful.has(image['id']) && !people.has(image['id'])) {
      broken.push(`image ${image['id']} (${image['name']}, ${image['status']}, period ${image[marks.period]}, run ${image[marks.run]}) is an orphan`)
    }
  }
  const named = new Set(seen.images.flatMap(snapshotsOf))
  for (const { id, name, status, created_at } of seen.snapshots) {
    if (!named.has(id)) broken.push(`volume snapshot ${id} (${name}, ${status}, ${created_at}) is an orphan`)
  }
  for (const record of seen.records) if (record['inFlight'] !== undefined) broken.push(`the runs table still has in flight: ${JSON.stringify(record)}`)
  return broken
}

export function runsOf(server: Scheduled, { records }: Pick<Seen, 'records'>): Json[] {
  return records.filter((record) => record['server'] === server.id && record['schedule'] === `daily/${server.label}` && record['status'] !== undefined)
}

function sealedOf({ id, label }: Scheduled, { images }: Holdings): Json[] {
  return images.filter((image) => image[marks.seal] === image['id'] && image[marks.server] === id && image[marks.schedule] === `daily/${label}`)
}

function imageOfRun(run: Json | undefined, { images }: Holdings): Json | undefined {
  return images.find(({ id }) => id === run?.['image'])
}

/** Why a server could not be restored from an image, or the image be known as ours. */
function faultsOf(image: Json, holdings: Holdings): string[] {
  return [
    ...(image['status'] === 'active' ? [] : [`is ${image['status']}`]),
    ...(image[marks.seal] === image['id'] && (image['tags'] as string[]).includes(sealTag) ? [] : ['is not sealed']),
    ...(snapshotsOf(image).length === 0 && !image['size'] ? ['is empty'] : []),
    ...missingSnapshots(image, holdings),
  ]
}

function missingSnapshots(image: Json, { snapshots }: Holdings): string[] {
  return snapshotsOf(image).flatMap((id) => {
    const status = (snapshots.find((snapshot) => snapshot['id'] === id)?.['status'] as string | undefined) ?? 'gone'
    return status === 'available' ? [] : [`has lost its data: volume snapshot ${id} is ${status}`]
  })
}

function snapshotsOf(image: Json): string[] {
  const mapping = JSON.parse((image['block_device_mapping'] as string | undefined) || '[]') as { snapshot_id?: string | null }[]
  return mapping.flatMap(({ snapshot_id }) => snapshot_id ?? [])
}
