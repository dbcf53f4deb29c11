import type { Problem } from '../model/errors.ts'
import type { Login, Permission } from '../model/examination.ts'
import type { Quota } from '../model/quota.ts'
import type { Image } from '../model/image.ts'
import { volumeSnapshots } from '../model/image.ts'
import type { ParsedSchedule, Schedule } from '../model/schedule.ts'
import { invalidSentence } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { demand, mostKept, turnsPerDay, type Growth } from './demand.ts'
import { scheduledImage } from './ownership.ts'
import { consistencyRefusal, indexServers, matchServers, selectServer } from './selection.ts'

/** Something that was looked at, or why it could not be. */
export type Fact<Value> = { readonly known: true; readonly value: Value } | { readonly known: false; readonly why: string }

/** What there is to know of one cloud. */
export interface CloudFacts {
  readonly cloud: string
  readonly now: Date
  /** All schedules, of other clouds as well. */
  readonly schedules: Fact<readonly ParsedSchedule[]>
  /** Whether the runs table answers. */
  readonly runs: Fact<unknown>
  readonly login: Fact<Login>
  /** Absent where the cloud could not be entered. */
  readonly inside?: InsideFacts
}

export interface InsideFacts {
  /** When the application credential ends; undefined for never, and for a password. */
  readonly credentialExpiry: Fact<Date | undefined>
  readonly services: Fact<Readonly<Record<'compute' | 'image' | 'block-storage', string | undefined>>>
  /** The newest one of the cloud, if it is older than those that are used. */
  readonly missingMicroversion: Fact<string | undefined>
  readonly servers: Fact<readonly Server[]>
  /** Every image of the project that carries the service's mark. */
  readonly images: Fact<readonly Image[]>
  readonly imageUsage: Fact<{ readonly count: Quota | undefined; readonly size: Quota | undefined } | undefined>
  readonly volumeLimits: Fact<{ readonly snapshots: Quota; readonly gigabytes: Quota }>
  /** GiB by volume id. */
  readonly volumeSizes: Fact<ReadonlyMap<string, number>>
  readonly may: Readonly<Record<Right, Fact<Permission>>>
  /** By server id: the properties that say whether a guest is frozen, of the servers whose schedules ask for it. */
  readonly guests: ReadonlyMap<string, Fact<Readonly<Record<string, string>> | undefined>>
}

/** What the service does in a cloud; each ends the sentence "may …". */
export const rights = {
  makeImages: 'make images',
  changeImages: 'mark images',
  deleteImages: 'delete images',
  readSnapshots: 'read volume snapshots',
  deleteSnapshots: 'delete volume snapshots',
  stopServers: 'stop and start servers',
} as const
export type Right = keyof typeof rights

/** What came of one check. */
export interface Finding {
  readonly check: string
  readonly level: 'ok' | 'warning' | 'problem'
  /** A sentence. Never holds a secret. */
  readonly sentence: string
  /** What to do about a warning or a problem. */
  readonly fix?: string
}

const dayMs = 86_400_000
const mebibyte = 1024 * 1024
/** Credentials and quotas that end sooner are warned of. */
const warnDays = 30
/** And are a problem when they end sooner than this. */
const problemDays = 7
const skewWarningMs = 30_000
const skewProblemMs = 5 * 60_000

/** Judges what was found of a cloud, check by check, in the order in which people would look. */
export function diagnose(facts: CloudFacts): Finding[] {
  const { inside } = facts
  const findings = [...tables(facts)]
  if (!facts.login.known) return [...findings, problem('credentials', facts.login.why, 'docs/clouds.md says what to do about each error of a cloud.')]
  const login = facts.login.value
  findings.push(...credentials(login, inside, facts.now), ...connection(login), ...roles(login))
  if (!inside) return findings
  const members = membersOf(facts, inside)
  findings.push(...services(inside, members), ...microversion(inside, members), ...permissions(inside, members))
  const unlisted = [inside.servers, inside.images].flatMap((fact) => (fact.known ? [] : [problem('listings', fact.why, 'The service needs this listing at each tick; look at the roles, the access rules and the service itself.')]))
  if (unlisted.length > 0) return [...findings, ...unlisted]
  const growing = growthsOf(facts, inside, members)
  return [
    ...findings,
    ...schedules(facts, members),
    ...imageQuotas(inside, growing),
    ...volumeQuotas(inside, growing),
    ...guests(inside, members),
  ]
}

/** One server of a schedule of this cloud, or why there is none. */
export interface Member {
  readonly schedule: Schedule
  readonly servers: readonly Server[]
  readonly problem: Problem | undefined
}

/** The servers of each enabled schedule of the cloud. */
export function membersOf({ cloud, schedules }: Pick<CloudFacts, 'cloud' | 'schedules'>, { servers }: Pick<InsideFacts, 'servers'>): Member[] {
  if (!schedules.known || !servers.known) return []
  const index = indexServers(servers.value)
  return enabledOf(schedules.value, cloud).map((schedule) => {
    const { server: reference } = schedule
    const found = 'selector' in reference ? matchServers(reference.selector, schedule.maxServers, servers.value, cloud) : selectServer(reference, index, cloud)
    if ('code' in found) return { schedule, servers: [], problem: found }
    return { schedule, servers: 'id' in found ? [found] : found, problem: undefined }
  })
}

function enabledOf(schedules: readonly ParsedSchedule[], cloud: string): Schedule[] {
  return schedules.flatMap((item) => (item.valid && item.schedule.cloud === cloud && item.schedule.enabled ? [item.schedule] : []))
}

function tables({ schedules, runs }: CloudFacts): Finding[] {
  const broken = [schedules, runs].find((fact) => !fact.known)
  if (broken && !broken.known) return [problem('tables', broken.why, 'Look at the stage, the region and the rights of your AWS credentials, or at the directory of --local.')]
  return [ok('tables', 'The tables of schedules and runs can be read.')]
}

function credentials(login: Login, inside: InsideFacts | undefined, now: Date): Finding[] {
  const { application, passwordExpiresAt, project } = login
  const user = login.user?.name ?? 'a user without a name'
  const where = `project ${project.name || project.id}`
  if (!application) {
    const sentence = `The password of ${user}, in ${where}${passwordExpiresAt ? '' : '; it does not expire'}.`
    return [ok('credentials', sentence), ...(passwordExpiresAt ? [expiry('The password', passwordExpiresAt, now, 'Change it, and store the new one.')] : [])]
  }
  const findings: Finding[] = []
  if (application.restricted === false) {
    findings.push(warning('credentials', `The application credential "${application.name}" of ${user} is unrestricted: who has it can make further credentials.`, 'Make a new one without --unrestricted, and store that.'))
  } else findings.push(ok('credentials', `The application credential "${application.name}" of ${user}, in ${where}${application.restricted ? '; restricted' : ''}.`))
  const ends = inside?.credentialExpiry
  if (!ends) return findings
  if (!ends.known) return [...findings, warning('expiry', `When the application credential ends is not known: ${ends.why}`, 'Look at it by openstack application credential show.')]
  if (!ends.value) return [...findings, ok('expiry', 'The application credential does not expire.')]
  return [...findings, expiry('The application credential', ends.value, now, 'Make a new one and store it before that day; docs/clouds.md says how.')]
}

function expiry(what: string, at: Date, now: Date, fix: string): Finding {
  const days = Math.floor((at.getTime() - now.getTime()) / dayMs)
  const sentence = `${what} ends on ${at.toISOString().slice(0, 10)}, in ${count(Math.max(0, days), 'day')}.`
  if (days >= warnDays) return ok('expiry', sentence)
  return days >= problemDays ? warning('expiry', sentence, fix) : problem('expiry', sentence, fix)
}

function connection({ verify, authUrl, clockAheadMs }: Login): Finding[] {
  const url = new URL(authUrl)
  const here = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  const findings: Finding[] = []
  if (url.protocol === 'http:' && !here) findings.push(warning('connection', `Keystone at ${url.host} is reached without TLS: the secret can be read on its way.`, 'Use an https "auth_url".'))
  else if (!verify) findings.push(warning('connection', 'Certificates are not checked ("verify" is false): somebody in between could take the secret.', 'Give the authority\'s certificate in "cacert" instead.'))
  else findings.push(ok('connection', url.protocol === 'https:' ? `Keystone at ${url.host} is reached by TLS, and certificates are checked.` : `Keystone at ${url.host} is on this machine.`))
  if (clockAheadMs === undefined) return [...findings, warning('clock', 'Keystone did not say what time it is.', 'Compare the clocks by hand.')]
  const apart = Math.abs(clockAheadMs)
  const sentence = `This machine's clock is ${duration(apart)} ${clockAheadMs > 0 ? 'ahead of' : 'behind'} Keystone's.`
  if (apart < skewWarningMs) return [...findings, ok('clock', 'This machine\'s clock agrees with Keystone\'s.')]
  return [...findings, { check: 'clock', level: apart < skewProblemMs ? 'warning' : 'problem', sentence, fix: 'Have both set by NTP: ages and periods go by them.' }]
}

function roles({ roles: names }: Login): Finding[] {
  const has = (...wanted: string[]) => names.some((name) => wanted.includes(name.toLowerCase().replaceAll('_', '')))
  const are = names.length === 1 ? `The role is ${names.join()}` : `The roles are ${names.join(', ')}`
  if (names.length === 0) return [warning('roles', 'Keystone did not say which roles the credentials have.', 'Give them the role member.')]
  if (has('admin')) return [warning('roles', `${are}; an administrator can reach other projects' images, and is not needed.`, 'Use credentials with the role member alone.')]
  if (has('member')) return [ok('roles', `${are}.`)]
  if (names.every((name) => name.toLowerCase() === 'reader')) {
    return [warning('roles', 'The only role is reader, which makes and deletes no images by the default policies since OpenStack 2023.1.', 'Use credentials with the role member.')]
  }
  return [ok('roles', `${are} and not member, so it depends on the cloud's own policies what they may do.`)]
}

function services({ services: fact }: InsideFacts, members: readonly Member[]): Finding[] {
  if (!fact.known) return [problem('services', fact.why, 'Correct "region_name", "interface" or an endpoint override.')]
  const { compute, image, 'block-storage': volumes } = fact.value
  if (volumes) return [ok('services', `Nova, Glance and Cinder are in the catalog: ${[compute, image, volumes].map((url) => new URL(url!).host).filter((host, i, all) => all.indexOf(host) === i).join(', ')}.`)]
  const backed = members.flatMap(({ servers }) => servers).filter((server) => server.volumes.length > 0)
  if (backed.length === 0) return [ok('services', 'Nova and Glance are in the catalog. Cinder is not, and no scheduled server has a volume.')]
  return [warning('services', `Cinder is not in the catalog, and ${count(backed.length, 'scheduled server')} ${backed.length === 1 ? 'has' : 'have'} volumes.`, 'Set "block_storage_endpoint_override", or ask the operator: images of servers that boot from a volume cannot be proven good.')]
}

function microversion({ missingMicroversion: fact }: InsideFacts, members: readonly Member[]): Finding[] {
  if (!fact.known) return [warning('microversion', `Nova did not say what it speaks: ${fact.why}`, 'Look again when Nova answers.')]
  if (fact.value === undefined) return [ok('microversion', 'Nova speaks the microversions 2.26 and 2.45 that are used.')]
  const minor = Number(fact.value.split('.')[1])
  const byTags = members.some(({ schedule: { server } }) => 'selector' in server && (server.selector.tags.length > 0 || server.selector.exclude.tags.length > 0))
  if (minor >= 26 || !byTags) return [ok('microversion', `Nova speaks microversion ${fact.value} at most, which is old and enough${minor < 26 ? '; selectors cannot go by tags' : ''}.`)]
  return [problem('microversion', `Nova speaks microversion ${fact.value} at most and shows no tags, by which selectors of schedules go.`, 'Let them go by metadata or name.')]
}

function permissions({ may }: InsideFacts, members: readonly Member[]): Finding[] {
  const servers = members.flatMap((member) => member.servers)
  const needed: Record<Right, boolean> = {
    makeImages: true,
    changeImages: true,
    deleteImages: true,
    readSnapshots: servers.some(({ volumes }) => volumes.length > 0),
    deleteSnapshots: servers.some(({ volumes }) => volumes.length > 0),
    stopServers: members.some(({ schedule }) => schedule.consistency === 'stopped'),
  }
  const findings: Finding[] = []
  const allowed: string[] = []
  for (const [right, words] of Object.entries(rights) as [Right, string][]) {
    const fact = may[right]
    const level = needed[right] ? 'problem' : 'warning'
    const noNeed = needed[right] ? '' : ' No schedule needs it today.'
    if (fact.known && fact.value === 'yes') allowed.push(words)
    else if (fact.known && fact.value === 'policy') findings.push({ check: 'policies', level, sentence: `The credentials may not ${words}: the cloud's policy refuses it.${noNeed}`, fix: 'Use credentials with the role member.' })
    else if (fact.known) findings.push({ check: 'policies', level, sentence: `The credentials may not ${words}: the application credential's access rules do not have it.${noNeed}`, fix: 'Make one with the access rules of docs/clouds.md.' })
    else findings.push(warning('policies', `Whether the credentials may ${words} could not be found out: ${fact.why}`, 'Look again when the service answers.'))
  }
  return allowed.length === 0 ? findings : [ok('policies', `As far as can be asked without harm, the credentials may ${list(allowed)}.`), ...findings]
}

function schedules({ schedules: fact, cloud }: CloudFacts, members: readonly Member[]): Finding[] {
  if (!fact.known) return []
  const invalid = fact.value.flatMap((item) => (item.valid || item.invalid.cloud !== cloud ? [] : [item.invalid]))
  const others = [...new Set(fact.value.map((item) => (item.valid ? item.schedule.cloud : item.invalid.cloud)))].filter((name) => name !== cloud).toSorted()
  const elsewhere = others.length > 0 ? ` Others use ${list(others)}; see --cloud.` : ''
  const enabled = enabledOf(fact.value, cloud)
  const servers = new Set(members.flatMap((member) => member.servers.map(({ id }) => id)))
  const sentence = enabled.length === 0 ? `No enabled schedule uses cloud "${cloud}".${elsewhere}` : `${count(enabled.length, 'enabled schedule')}, ${count(servers.size, 'server')}.${elsewhere}`
  return [
    ok('schedules', sentence),
    ...invalid.map((item) => problem('schedules', `${item.key} is not valid: ${invalidSentence(item)}`, 'Correct the item.')),
    ...members.flatMap(({ schedule, problem: why }) => (why ? [problem('schedules', `${schedule.key}: ${why.message}`, 'Correct the item, or disable it.')] : [])),
  ]
}

/** What the images of one server of a schedule take. */
interface Growing extends Growth {
  /** Bytes of one image; undefined before the first. */
  readonly bytes: number | undefined
  /** Volume snapshots of one image, and their GiB. */
  readonly snapshots: number
  readonly gigabytes: number
}

function growthsOf({ now }: CloudFacts, { images, volumeSizes }: InsideFacts, members: readonly Member[]): Growing[] {
  const own = images.known ? images.value.flatMap((image) => scheduledImage(image, image.owner) ?? []) : []
  const byPool = Map.groupBy(own, ({ schedule, server }) => `${schedule} ${server}`)
  const sizes = volumeSizes.known ? volumeSizes.value : new Map<string, number>()
  return members.flatMap(({ schedule, servers }) => {
    if (schedule.cadence === 'manual') return []
    const perDay = turnsPerDay(schedule, now)
    const most = mostKept(schedule.keep, perDay) + 1
    return servers.map(({ id, image, volumes }): Growing => {
      const present = (byPool.get(`${schedule.key} ${id}`) ?? []).map((one) => one.image)
      // A server that was restored from a volume-backed image shows an image, although it boots from a volume (lab finding, §9).
      const backed = volumes.length > 0 && (image === undefined || present.some((one) => volumeSnapshots(one).kind === 'snapshots'))
      const bytes = present.flatMap(({ size }) => (size === null ? [] : [size]))
      return {
        have: present.length, most, perDay, each: 1,
        bytes: backed ? 0 : bytes.length > 0 ? bytes.reduce((sum, size) => sum + size, 0) / bytes.length : undefined,
        snapshots: backed ? volumes.length : 0,
        gigabytes: backed ? volumes.reduce((sum, volume) => sum + (sizes.get(volume) ?? 0), 0) : 0,
      }
    })
  })
}

function imageQuotas({ imageUsage: fact }: InsideFacts, growing: readonly Growing[]): Finding[] {
  if (!fact.known) return [warning('image quota', `How many images the project may have is not known: ${fact.why}`, 'Look again when Glance answers; with access rules, add those of docs/doctor.md.')]
  if (!fact.value?.count && !fact.value?.size) return [ok('image quota', 'Glance tells of no quota of images.')]
  const { count: images, size } = fact.value
  const known = growing.filter(({ bytes }) => bytes !== undefined)
  const average = known.length > 0 ? known.reduce((sum, { bytes }) => sum + bytes!, 0) / known.length : undefined
  return [
    ...(images ? [quota('image quota', images, growing, (amount) => count(amount, 'image'), 'image')] : []),
    ...(size && (average !== undefined || growing.length === 0)
      ? [quota('image size', size, growing.map((growth) => ({ ...growth, each: (growth.bytes ?? average ?? 0) / mebibyte })), (amount) => `${Math.ceil(amount)} MiB`, 'image size')]
      : []),
  ]
}

function volumeQuotas({ volumeLimits: fact, volumeSizes, services: catalog }: InsideFacts, growing: readonly Growing[]): Finding[] {
  const backed = growing.filter(({ snapshots }) => snapshots > 0)
  if (backed.length === 0) return [ok('volume quota', 'No scheduled server boots from a volume, so no volume snapshots are needed.')]
  if (catalog.known && !catalog.value['block-storage']) return []
  if (!fact.known) return [warning('volume quota', `How many volume snapshots the project may have is not known: ${fact.why}`, 'Look again when Cinder answers; with access rules, add those of docs/doctor.md.')]
  const { snapshots, gigabytes } = fact.value
  return [
    quota('volume quota', snapshots, backed.map((growth) => ({ ...growth, each: growth.snapshots })), (amount) => count(amount, 'volume snapshot'), 'volume snapshot'),
    ...(volumeSizes.known ? [quota('volume size', gigabytes, backed.map((growth) => ({ ...growth, each: growth.gigabytes })), (amount) => `${amount} GiB`, 'volume gigabytes')] : []),
  ]
}

function quota(check: string, { used, limit }: Quota, growths: readonly Growth[], amount: (of: number) => string, what: string): Finding {
  if (limit === undefined) return ok(check, `The ${what} quota is unlimited.`)
  const { need, days } = demand(growths, limit - used)
  const state = `${used} of ${amount(limit)} used`
  if (need === 0) return ok(check, `${state}, and the schedules need no more.`)
  const fix = `Raise the quota to ${Math.ceil(used + need)}, or keep less.`
  if (days === undefined && used + need <= limit) return ok(check, `${state}, and the schedules need at most ${amount(need)} more.`)
  if (days === undefined) return ok(check, `${state}; the schedules need ${amount(need)} more, but not for ten years.`)
  const sentence = `${state}, and the schedules need up to ${amount(need)} more: at their rate it lasts ${days === 0 ? 'not even a day' : `for ${count(days, 'day')}`}.`
  return days < problemDays ? problem(check, sentence, fix) : warning(check, sentence, fix)
}

function guests({ guests: facts }: InsideFacts, members: readonly Member[]): Finding[] {
  const quiesced = members.filter(({ schedule }) => schedule.consistency === 'quiesced')
  if (quiesced.length === 0) return [ok('guest agent', 'No schedule asks for "quiesced", so no guest agent is needed.')]
  const servers = [...new Map(quiesced.flatMap((member) => member.servers.map((server) => [server.id, server]))).values()]
  const findings = servers.flatMap((server): Finding[] => {
    const fact = facts.get(server.id)
    if (!fact?.known) return [warning('guest agent', `Whether server "${server.name}" can be quiesced is not known: ${fact?.why ?? 'it was not looked at.'}`, 'Look again when Glance answers.')]
    const why = consistencyRefusal(server, 'quiesced', fact.value)
    return why ? [problem('guest agent', why.message, 'docs/consistency.md says what it takes.')] : []
  })
  const able = servers.length - findings.length
  return able > 0 ? [ok('guest agent', `${count(able, 'server')} of schedules that ask for "quiesced" will be.`), ...findings] : findings
}

function ok(check: string, sentence: string): Finding {
  return { check, level: 'ok', sentence }
}

function warning(check: string, sentence: string, fix: string): Finding {
  return { check, level: 'warning', sentence, fix }
}

function problem(check: string, sentence: string, fix: string): Finding {
  return { check, level: 'problem', sentence, fix }
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 120 ? count(seconds, 'second') : count(Math.round(seconds / 60), 'minute')
}

function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
