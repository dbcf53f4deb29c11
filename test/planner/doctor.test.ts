import { expect, test } from 'vitest'
import type { Login, Permission } from '../../lib/model/examination.ts'
import { parseSchedule, type ParsedSchedule } from '../../lib/model/schedule.ts'
import { diagnose, type CloudFacts, type Fact, type Finding, type InsideFacts } from '../../lib/planner/doctor.ts'
import { id, image, mapping, sealed, server, web1, web2 } from '../support/builders.ts'

const now = new Date('2026-11-21T12:00:00Z')
const known = <Value>(value: Value): Fact<Value> => ({ known: true, value })
const unknown = (why = 'It was answered 503.') => ({ known: false, why }) as const
const may = (given: Partial<Record<keyof InsideFacts['may'], Fact<Permission>>> = {}): InsideFacts['may'] => {
  const yes = known<Permission>('yes')
  return { makeImages: yes, changeImages: yes, deleteImages: yes, readSnapshots: yes, deleteSnapshots: yes, stopServers: yes, ...given }
}
const login: Login = {
  kind: 'password', roles: ['reader', 'member'], user: { id: 'u', name: 'carol' }, project: { id: 'p', name: 'gamma' }, application: undefined,
  passwordExpiresAt: undefined, clockAheadMs: 0, authUrl: 'https://keystone.example.com/v3', verify: true, region: undefined, tokenExpiresAt: now,
}
const application = { id: 'a', name: 'lab', restricted: true }
const inside: InsideFacts = {
  credentialExpiry: known(undefined),
  services: known({ compute: 'https://nova.example.com/v2.1', image: 'https://glance.example.com/v2', 'block-storage': 'https://nova.example.com/v3/p' }),
  missingMicroversion: known(undefined),
  servers: known([server()]),
  images: known([]),
  imageUsage: known({ count: { used: 10, limit: 100 }, size: undefined }),
  volumeLimits: known({ snapshots: { used: 0, limit: 10 }, gigabytes: { used: 4, limit: 100 } }),
  volumeSizes: known(new Map([[id(7), 2], [id(8), 3]])),
  may: may(),
  guests: new Map(),
}
const item = (attributes: Record<string, unknown> = {}): ParsedSchedule => parseSchedule({ cadence: 'daily', schedule: 'web-1', server: web1, retention: 3, spread: 0, ...attributes })

interface Given {
  readonly login?: Partial<Login>
  readonly inside?: Partial<InsideFacts>
  readonly schedules?: readonly ParsedSchedule[]
}
const facts = (given: Given = {}): CloudFacts => ({
  cloud: 'default', now, schedules: known(given.schedules ?? [item()]), runs: known({}), login: known({ ...login, ...given.login }), inside: { ...inside, ...given.inside },
})
const of = (check: string, findings: readonly Finding[]) => findings.filter((finding) => finding.check === check).map(({ level, sentence }) => `${level}: ${sentence}`)

test('a cloud as it should be has no warning, and each check once', () => {
  const findings = diagnose(facts())
  expect(findings.filter(({ level }) => level !== 'ok')).toEqual([])
  expect(findings.map(({ check }) => check)).toEqual(['tables', 'credentials', 'connection', 'clock', 'roles', 'services', 'microversion', 'policies', 'schedules', 'image quota', 'volume quota', 'guest agent'])
})

const volumeBacked = server({ volumes: [id(7), id(8)] })
const bigImages = [sealed({ size: 50 * 1024 * 1024 }), sealed({ id: id(2), size: 150 * 1024 * 1024 })]
const rows: readonly [sentence: string, check: string, given: Given, said: readonly string[]][] = [
  ['a password', 'credentials', {}, ['ok: The password of carol, in project gamma; it does not expire.']],
  ['a password that ends soon', 'expiry', { login: { passwordExpiresAt: new Date('2026-12-10T12:00:00Z') } }, ['warning: The password ends on 2026-12-10, in 19 days.']],
  ['a restricted application credential', 'credentials', { login: { application } }, ['ok: The application credential "lab" of carol, in project gamma; restricted.']],
  ['one of an older Keystone, which does not say', 'credentials', { login: { application: { ...application, restricted: undefined } } }, ['ok: The application credential "lab" of carol, in project gamma.']],
  ['an unrestricted one', 'credentials', { login: { application: { ...application, restricted: false } } }, ['warning: The application credential "lab" of carol is unrestricted: who has it can make further credentials.']],
  ['one without end', 'expiry', { login: { application } }, ['ok: The application credential does not expire.']],
  ['one that ends in 30 days', 'expiry', { login: { application }, inside: { credentialExpiry: known(new Date('2026-12-21T12:00:00Z')) } }, ['ok: The application credential ends on 2026-12-21, in 30 days.']],
  ['one that ends a moment sooner', 'expiry', { login: { application }, inside: { credentialExpiry: known(new Date('2026-12-21T11:59:59Z')) } }, ['warning: The application credential ends on 2026-12-21, in 29 days.']],
  ['one that ends within a week', 'expiry', { login: { application }, inside: { credentialExpiry: known(new Date('2026-11-28T11:00:00Z')) } }, ['problem: The application credential ends on 2026-11-28, in 6 days.']],
  ['one that ends today', 'expiry', { login: { application }, inside: { credentialExpiry: known(new Date('2026-11-22T11:00:00Z')) } }, ['problem: The application credential ends on 2026-11-22, in 0 days.']],
  ['one whose end cannot be read', 'expiry', { login: { application }, inside: { credentialExpiry: unknown() } }, ['warning: When the application credential ends is not known: It was answered 503.']],
  ['no TLS', 'connection', { login: { authUrl: 'http://keystone.example.com:5000/v3' } }, ['warning: Keystone at keystone.example.com:5000 is reached without TLS: the secret can be read on its way.']],
  ['no TLS on this machine', 'connection', { login: { authUrl: 'http://127.0.0.1:5000/v3' } }, ['ok: Keystone at 127.0.0.1:5000 is on this machine.']],
  ['TLS without a check', 'connection', { login: { verify: false } }, ['warning: Certificates are not checked ("verify" is false): somebody in between could take the secret.']],
  ['TLS', 'connection', {}, ['ok: Keystone at keystone.example.com is reached by TLS, and certificates are checked.']],
  ['a clock that agrees', 'clock', { login: { clockAheadMs: -29_999 } }, ["ok: This machine's clock agrees with Keystone's."]],
  ['a clock that is ahead', 'clock', { login: { clockAheadMs: 30_000 } }, ["warning: This machine's clock is 30 seconds ahead of Keystone's."]],
  ['a clock that is far behind', 'clock', { login: { clockAheadMs: -300_000 } }, ["problem: This machine's clock is 5 minutes behind Keystone's."]],
  ['a Keystone without time', 'clock', { login: { clockAheadMs: undefined } }, ['warning: Keystone did not say what time it is.']],
  ['one role', 'roles', { login: { roles: ['Member'] } }, ['ok: The role is Member.']],
  ['the role of old clouds', 'roles', { login: { roles: ['_member_', 'heat_stack_owner'] } }, ['ok: The roles are _member_, heat_stack_owner.']],
  ['a reader', 'roles', { login: { roles: ['reader'] } }, ['warning: The only role is reader, which makes and deletes no images by the default policies since OpenStack 2023.1.']],
  ['an administrator', 'roles', { login: { roles: ['reader', 'member', 'admin'] } }, ["warning: The roles are reader, member, admin; an administrator can reach other projects' images, and is not needed."]],
  ["a cloud's own role", 'roles', { login: { roles: ['backup'] } }, ["ok: The role is backup and not member, so it depends on the cloud's own policies what they may do."]],
  ['no role that is told', 'roles', { login: { roles: [] } }, ['warning: Keystone did not say which roles the credentials have.']],
  ['services on few hosts', 'services', {}, ['ok: Nova, Glance and Cinder are in the catalog: nova.example.com, glance.example.com.']],
  ['no Cinder, and no volume', 'services', { inside: { services: known({ compute: 'https://n', image: 'https://g', 'block-storage': undefined }) } }, ['ok: Nova and Glance are in the catalog. Cinder is not, and no scheduled server has a volume.']],
  ['no Cinder, and a volume', 'services', { inside: { services: known({ compute: 'https://n', image: 'https://g', 'block-storage': undefined }), servers: known([volumeBacked]) } }, ['warning: Cinder is not in the catalog, and 1 scheduled server has volumes.']],
  ['a catalog that is of no use', 'services', { inside: { services: unknown('Region "X" does not exist.') } }, ['problem: Region "X" does not exist.']],
  ['an old Nova', 'microversion', { inside: { missingMicroversion: known('2.38') } }, ['ok: Nova speaks microversion 2.38 at most, which is old and enough.']],
  ['a very old Nova', 'microversion', { inside: { missingMicroversion: known('2.25') } }, ['ok: Nova speaks microversion 2.25 at most, which is old and enough; selectors cannot go by tags.']],
  ['a very old Nova, and a selector by tags', 'microversion', { schedules: [item({ server: undefined, selector: { tags: ['a'] } })], inside: { missingMicroversion: known('2.25') } }, ['problem: Nova speaks microversion 2.25 at most and shows no tags, by which selectors of schedules go.']],
  ['a Nova that does not answer', 'microversion', { inside: { missingMicroversion: unknown() } }, ['warning: Nova did not say what it speaks: It was answered 503.']],
  ['everything is allowed', 'policies', {}, ['ok: As far as can be asked without harm, the credentials may make images, mark images, delete images, read volume snapshots, delete volume snapshots and stop and start servers.']],
  ['a policy that refuses', 'policies', { inside: { may: may({ makeImages: known('policy') }) } }, [
    'ok: As far as can be asked without harm, the credentials may mark images, delete images, read volume snapshots, delete volume snapshots and stop and start servers.',
    "problem: The credentials may not make images: the cloud's policy refuses it.",
  ]],
  ['access rules that lack what nobody needs', 'policies', { inside: { may: may({ stopServers: known('access rules'), deleteSnapshots: known('access rules') }) } }, [
    'ok: As far as can be asked without harm, the credentials may make images, mark images, delete images and read volume snapshots.',
    "warning: The credentials may not delete volume snapshots: the application credential's access rules do not have it. No schedule needs it today.",
    "warning: The credentials may not stop and start servers: the application credential's access rules do not have it. No schedule needs it today.",
  ]],
  ['access rules that lack what is needed', 'policies', { schedules: [item({ consistency: 'stopped' })], inside: { servers: known([volumeBacked]), may: may({ stopServers: known('access rules'), deleteSnapshots: known('access rules') }) } }, [
    'ok: As far as can be asked without harm, the credentials may make images, mark images, delete images and read volume snapshots.',
    "problem: The credentials may not delete volume snapshots: the application credential's access rules do not have it.",
    "problem: The credentials may not stop and start servers: the application credential's access rules do not have it.",
  ]],
  ['a service that does not answer', 'policies', { inside: { may: may({ deleteImages: unknown() }) } }, [
    'ok: As far as can be asked without harm, the credentials may make images, mark images, read volume snapshots, delete volume snapshots and stop and start servers.',
    'warning: Whether the credentials may delete images could not be found out: It was answered 503.',
  ]],
  ['schedules of other clouds', 'schedules', { schedules: [item(), item({ schedule: 'b', cloud: 'berlin' }), item({ schedule: 'c', enabled: false })] }, ['ok: 1 enabled schedule, 1 server. Others use berlin; see --cloud.']],
  ['no schedule', 'schedules', { schedules: [item({ enabled: false })] }, ['ok: No enabled schedule uses cloud "default".']],
  ['an invalid one, and a server that is gone', 'schedules', { schedules: [item({ retention: 0 }), item({ schedule: 'gone', server: web2 })] }, [
    'ok: 1 enabled schedule, 0 servers.',
    expect.stringMatching(/^problem: daily\/web-1 is not valid: .*retention/) as unknown as string,
    `problem: daily/gone: Server ${web2} does not exist in the project of cloud "default"; its images are kept. Correct the item's "server", or set "enabled" to false.`,
  ]],
  ['room for images', 'image quota', {}, ['ok: 10 of 100 images used, and the schedules need at most 4 images more.']],
  ['no need of images', 'image quota', { schedules: [] }, ['ok: 10 of 100 images used, and the schedules need no more.']],
  ['room for some days', 'image quota', { schedules: [item({ retention: 60 })], inside: { imageUsage: known({ count: { used: 85, limit: 100 }, size: undefined }) } }, ['warning: 85 of 100 images used, and the schedules need up to 61 images more: at their rate it lasts for 15 days.']],
  ['room for a few days', 'image quota', { schedules: [item({ retention: 60 })], inside: { imageUsage: known({ count: { used: 94, limit: 100 }, size: undefined }) } }, ['problem: 94 of 100 images used, and the schedules need up to 61 images more: at their rate it lasts for 6 days.']],
  ['no room', 'image quota', { inside: { imageUsage: known({ count: { used: 100, limit: 100 }, size: undefined }) } }, ['problem: 100 of 100 images used, and the schedules need up to 4 images more: at their rate it lasts not even a day.']],
  ['images that there are count', 'image quota', { inside: { images: known([sealed(), sealed({ id: id(2) })]), imageUsage: known({ count: { used: 99, limit: 100 }, size: undefined }) } }, ['problem: 99 of 100 images used, and the schedules need up to 2 images more: at their rate it lasts for 1 day.']],
  ["a person's images do not", 'image quota', { inside: { images: known([image()]), imageUsage: known({ count: { used: 1, limit: 100 }, size: undefined }) } }, ['ok: 1 of 100 images used, and the schedules need at most 4 images more.']],
  ['no limit', 'image quota', { inside: { imageUsage: known({ count: { used: 10, limit: undefined }, size: undefined }) } }, ['ok: The image quota is unlimited.']],
  ['an older Glance', 'image quota', { inside: { imageUsage: known(undefined) } }, ['ok: Glance tells of no quota of images.']],
  ['a Glance that does not answer', 'image quota', { inside: { imageUsage: unknown() } }, ['warning: How many images the project may have is not known: It was answered 503.']],
  ['a manual schedule has no rate', 'image quota', { schedules: [item({ cadence: 'manual', spread: undefined })] }, ['ok: 10 of 100 images used, and the schedules need no more.']],
  ['sizes are those of the images that there are', 'image size', { inside: { images: known(bigImages), imageUsage: known({ count: undefined, size: { used: 200, limit: 1000 } }) } }, ['ok: 200 of 1000 MiB used, and the schedules need at most 200 MiB more.']],
  ['before the first image nothing is known of sizes', 'image size', { inside: { imageUsage: known({ count: undefined, size: { used: 200, limit: 1000 } }) } }, []],
  ['no server with volumes', 'volume quota', {}, ['ok: No scheduled server boots from a volume, so no volume snapshots are needed.']],
  ['two snapshots for each image', 'volume quota', { inside: { servers: known([volumeBacked]) } }, ['ok: 0 of 10 volume snapshots used, and the schedules need at most 8 volume snapshots more.']],
  ['a quota of snapshots that is too small', 'volume quota', { schedules: [item({ retention: 6 })], inside: { servers: known([volumeBacked]) } }, ['problem: 0 of 10 volume snapshots used, and the schedules need up to 14 volume snapshots more: at their rate it lasts for 5 days.']],
  ['their size', 'volume size', { inside: { servers: known([volumeBacked]) } }, ['ok: 4 of 100 GiB used, and the schedules need at most 20 GiB more.']],
  ['a server with an image and a data volume makes none', 'volume quota', { inside: { servers: known([server({ volumes: [id(7)], image: id(9) })]) } }, ['ok: No scheduled server boots from a volume, so no volume snapshots are needed.']],
  ['a restored one shows an image, and makes some', 'volume quota', { inside: { servers: known([server({ volumes: [id(7)], image: id(9) })]), images: known([sealed({ properties: mapping(id(3)) })]) } }, ['ok: 0 of 10 volume snapshots used, and the schedules need at most 3 volume snapshots more.']],
  ['a Cinder that does not answer', 'volume quota', { inside: { servers: known([volumeBacked]), volumeLimits: unknown() } }, ['warning: How many volume snapshots the project may have is not known: It was answered 503.']],
  ['no schedule asks for a quiesced guest', 'guest agent', {}, ['ok: No schedule asks for "quiesced", so no guest agent is needed.']],
  ['a guest that will be quiesced', 'guest agent', { schedules: [item({ consistency: 'quiesced' })], inside: { guests: new Map([[web1, known({ hw_qemu_guest_agent: 'yes', os_require_quiesce: 'yes' })]]) } }, ['ok: 1 server of schedules that ask for "quiesced" will be.']],
  ['a guest that will not', 'guest agent', { schedules: [item({ consistency: 'quiesced' })], inside: { guests: new Map([[web1, known({ hw_qemu_guest_agent: 'yes' })]]) } }, ['problem: Server "web-1" cannot be quiesced for certain: the image that it was made from does not say os_require_quiesce=yes. Rebuild it from an image that does, or set "consistency" to "live" or "stopped".']],
  ['a guest of which nothing is known', 'guest agent', { schedules: [item({ consistency: 'quiesced' })], inside: { guests: new Map([[web1, unknown()]]) } }, ['warning: Whether server "web-1" can be quiesced is not known: It was answered 503.']],
]
test.each(rows)('%s', (_sentence, check, given, said) => {
  const findings = diagnose(facts(given))
  expect(of(check, findings)).toEqual(said)
  for (const { level, fix } of findings) expect(fix === undefined).toBe(level === 'ok')
})

test('a cloud that cannot be entered is one problem, and the tables are judged all the same', () => {
  const findings = diagnose({ cloud: 'default', now, schedules: known([]), runs: unknown('The stage does not exist.'), login: unknown('Keystone refused the credentials.') })
  expect(findings.map(({ check, level, sentence }) => [check, level, sentence])).toEqual([
    ['tables', 'problem', 'The stage does not exist.'],
    ['credentials', 'problem', 'Keystone refused the credentials.'],
  ])
})

test('without a listing of servers what does not need it is judged', () => {
  const findings = diagnose(facts({ inside: { servers: unknown('Listing servers was answered 503.') } }))
  expect(of('listings', findings)).toEqual(['problem: Listing servers was answered 503.'])
  expect(findings.map(({ check }) => check)).toEqual(['tables', 'credentials', 'connection', 'clock', 'roles', 'services', 'microversion', 'policies', 'listings'])
})

test('each warning and each problem has its fix', () => {
  const found = new Set(rows.flatMap(([, , given]) => diagnose(facts(given)).flatMap(({ check, fix }) => (fix === undefined ? [] : [`${check}: ${fix}`]))))
  expect([...found].toSorted()).toEqual([
    'clock: Compare the clocks by hand.',
    'clock: Have both set by NTP: ages and periods go by them.',
    'connection: Give the authority\'s certificate in "cacert" instead.',
    'connection: Use an https "auth_url".',
    'credentials: Make a new one without --unrestricted, and store that.',
    'expiry: Change it, and store the new one.',
    'expiry: Look at it by openstack application credential show.',
    'expiry: Make a new one and store it before that day; docs/clouds.md says how.',
    'guest agent: Look again when Glance answers.',
    'guest agent: docs/consistency.md says what it takes.',
    'image quota: Look again when Glance answers; with access rules, add those of docs/doctor.md.',
    'image quota: Raise the quota to 101, or keep less.',
    'image quota: Raise the quota to 104, or keep less.',
    'image quota: Raise the quota to 146, or keep less.',
    'image quota: Raise the quota to 155, or keep less.',
    'microversion: Let them go by metadata or name.',
    'microversion: Look again when Nova answers.',
    'policies: Look again when the service answers.',
    'policies: Make one with the access rules of docs/clouds.md.',
    'policies: Use credentials with the role member.',
    'roles: Give them the role member.',
    'roles: Use credentials with the role member alone.',
    'roles: Use credentials with the role member.',
    'schedules: Correct the item, or disable it.',
    'schedules: Correct the item.',
    'services: Correct "region_name", "interface" or an endpoint override.',
    'services: Set "block_storage_endpoint_override", or ask the operator: images of servers that boot from a volume cannot be proven good.',
    'volume quota: Look again when Cinder answers; with access rules, add those of docs/doctor.md.',
    'volume quota: Raise the quota to 14, or keep less.',
  ])
})
