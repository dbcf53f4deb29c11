import fc from 'fast-check'
import type { Answer, Spoiled, Visit } from './proxy.ts'

/** Which requests are spoiled: `METHOD /service/path`. */
export const targets = {
  token: /^POST \/identity/,
  servers: /^GET \/compute\S*\/servers\/detail/,
  createImage: /^POST \/compute\S*\/action/,
  images: /^GET \/image\/v2\/images\?/,
  image: /^GET \/image\/v2\/images\/[^?]/,
  seal: /^PATCH \/image/,
  delete: /^DELETE \/image/,
  snapshots: /^GET \/volume\S*\/snapshots/,
  deleteSnapshot: /^DELETE \/volume/,
} as const
export type Target = keyof typeof targets

/** What is done to a value somewhere in the JSON of a true answer. */
const changes = ['drop', 'null', 'number', 'text', 'list', 'object', 'blank', 'long', 'negative', 'huge', 'deep', 'twice', 'reverse', 'proto', 'other id'] as const
type Change = (typeof changes)[number]

/** One way to be hostile, as plain data, so that a counterexample can be read. */
type Deed =
  | { readonly kind: 'change'; readonly at: number; readonly change: Change }
  /** A listing that is whole by its looks, and lacks all beyond the first few. */
  | { readonly kind: 'short'; readonly left: number }
  | { readonly kind: 'next'; readonly link: (typeof links)[number] }
  | { readonly kind: 'text'; readonly text: string }
  /** A listing that says of an image that must stay that it is old, good, sealed and nobody's treasure. */
  | { readonly kind: 'slander'; readonly of: number }
  /** JSON that ends in the middle, with the right length. */
  | { readonly kind: 'half'; readonly share: number }
  | { readonly kind: 'status'; readonly status: number; readonly work: boolean; readonly header: (typeof headers)[number]; readonly says: 'nothing' | 'JSON' | 'HTML' | 'what it was sent' }
  | { readonly kind: 'end'; readonly end: NonNullable<Spoiled['end']>; readonly work: boolean }

export interface Hostility {
  readonly target: Target
  /** Lets the first so many through. */
  readonly skip: number
  readonly times: number
  readonly deed: Deed
}

const links = ['same', 'fresh', 'elsewhere', 'elsewhere with path', 'no text'] as const
const headers = ['none', 'location', 'refresh', 'retry soon', 'retry late', 'retry never', 'gzip', 'html', 'long request id'] as const
const statuses = [200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 418, 429, 500, 502, 503, 504] as const
const texts = [
  '', ' ', 'null', 'true', '[]', '{}', '7', '"images"', '{', '[{]', '<html><body>Welcome to the hotel, please log in</body></html>', '\u0000', '\ufeff{}', 'NaN', '{"images":NaN}',
  '{"images":{}}', '{"images":null,"servers":null,"snapshots":null}', '{"images":[],"servers":[],"snapshots":[]}', '{"__proto__":{"images":[],"status":"active"}}',
  '{"constructor":{"prototype":{"protected":false}}}', '{"error":{"message":["not","text"]}}', '['.repeat(100_000), '{"images":'.repeat(20_000),
] as const

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('change'), at: fc.nat(1000), change: fc.constantFrom(...changes) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('short'), left: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('next'), link: fc.constantFrom(...links) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('text'), text: fc.constantFrom(...texts) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('half'), share: fc.double({ min: 0, max: 0.99, noNaN: true }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('status'), status: fc.constantFrom(...statuses), work: fc.boolean(), header: fc.constantFrom(...headers),
      says: fc.constantFrom('nothing', 'JSON', 'HTML', 'what it was sent'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end'), end: fc.constantFrom('reset', 'cut'), work: fc.boolean() }) },
  // They take their time, so there are few of them.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end'), end: fc.constantFrom('hang', 'drip'), work: fc.boolean() }) },
)

const hostility: fc.Arbitrary<Hostility> = fc
  .record({
    target: fc.constantFrom(...(Object.keys(targets) as Target[])),
    skip: fc.nat(2),
    times: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(1000)),
    deed,
  })

/** Listings that call a treasure an old, good and sealed image, while each look at a single image is honest. */
const slanders: fc.Arbitrary<Hostility> = fc.record({
  target: fc.constant('images'), skip: fc.nat(2), times: fc.constant(1000), deed: fc.record({ kind: fc.constant('slander'), of: fc.nat(20) }),
})

export const hostilities: fc.Arbitrary<Hostility[]> = fc.oneof(
  { weight: 4, arbitrary: fc.array(hostility, { minLength: 1, maxLength: 5 }) },
  { weight: 1, arbitrary: fc.tuple(slanders, fc.array(hostility.filter(({ target }) => target !== 'image'), { maxLength: 3 })).map(([first, others]) => [first, ...others]) },
)

/** Makes a cloud hostile: each rule in turn is asked about each request, and the first that applies spoils it. */
export function spoiler(hostilities: readonly Hostility[], { elsewhere, slandered }: { readonly elsewhere: string; readonly slandered: readonly string[] }): (visit: Visit) => Spoiled | undefined {
  const seen = hostilities.map(() => 0)
  return (visit) => {
    for (const [n, { target, skip, times, deed }] of hostilities.entries()) {
      if (!targets[target].test(`${visit.method} ${visit.path}`)) continue
      seen[n]! += 1
      if (seen[n]! <= skip || seen[n]! > skip + times) continue
      return {
        work: 'work' in deed ? deed.work : true,
        end: deed.kind === 'end' ? deed.end : undefined,
        answer: (truth) => answerOf(deed, truth, visit, elsewhere, slandered),
      }
    }
    return undefined
  }
}

function answerOf(deed: Deed, truth: Answer, visit: Visit, elsewhere: string, victims: readonly string[]): Answer {
  switch (deed.kind) {
    case 'change':
      return changed(truth, (json) => changeAt(json, deed))
    case 'short':
      return changed(truth, (json) => shortened(json, deed.left))
    case 'slander':
      return changed(truth, (json) => slander(json, victims[deed.of % victims.length]!))
    case 'next':
      return changed(truth, (json) => linked(json, visit, deed.link, elsewhere))
    case 'text':
      return { ...truth, body: deed.text }
    case 'half':
      return { ...truth, body: truth.body.slice(0, Math.floor(truth.body.length * deed.share)) }
    case 'status':
      return { status: deed.status, headers: { ...truth.headers, ...headerOf(deed.header, visit, elsewhere) }, body: bodyOf(deed.says, visit) }
    case 'end':
      return truth
  }
}

type Json = Record<string, unknown>

function changed(truth: Answer, change: (json: unknown) => unknown): Answer {
  try {
    return { ...truth, body: JSON.stringify(change(JSON.parse(String(truth.body)))) }
  } catch {
    // What is no JSON stays as it is.
    return truth
  }
}

/** Walks to the `at`-th value of a document, and changes it where it stands. */
function changeAt(json: unknown, { at, change }: Extract<Deed, { kind: 'change' }>): unknown {
  const places: [holder: Json, key: string][] = []
  const walk = (holder: unknown) => {
    if (typeof holder !== 'object' || holder === null) return
    for (const key of Object.keys(holder)) {
      places.push([holder as Json, key])
      walk((holder as Json)[key])
    }
  }
  walk(json)
  const [holder, key] = places[at % places.length]!
  const value = holder[key]
  if (change === 'drop') {
    if (Array.isArray(holder)) holder.splice(Number(key), 1)
    else delete holder[key]
  } else if (change === 'twice' && Array.isArray(holder)) holder.push(value)
  else if (change === 'reverse' && Array.isArray(value)) value.reverse()
  else if (change === 'proto') holder[key] = JSON.parse('{"__proto__":{"protected":false,"status":"active"},"constructor":7}')
  else holder[key] = replacements[change](value)
  return json
}

const replacements: Record<Exclude<Change, 'drop' | 'proto'>, (value: unknown) => unknown> = {
  null: () => null,
  number: () => 7,
  text: (value) => (typeof value === 'string' ? 7 : JSON.stringify(value)),
  list: (value) => [value],
  object: (value) => ({ value }),
  blank: (value) => (typeof value === 'string' ? '' : Array.isArray(value) ? [] : {}),
  long: () => 'x'.repeat(50_000),
  negative: () => -1,
  huge: () => Number.MAX_VALUE,
  deep: () => JSON.parse(`${'['.repeat(2000)}${']'.repeat(2000)}`) as unknown,
  twice: (value) => [value, value],
  reverse: (value) => [value],
  'other id': (value) => (typeof value === 'string' && /^[0-9a-f-]{36}$/.test(value) ? '../../../images' : value),
}

function shortened(json: unknown, left: number): unknown {
  const { next: _next, ...rest } = json as Json
  return Object.fromEntries(Object.entries(rest).flatMap(([key, value]) => (key.endsWith('_links') ? [] : [[key, Array.isArray(value) ? value.slice(0, left) : value]])))
}

function slander(json: unknown, id: string): unknown {
  const { images, ...rest } = json as { images: Json[] }
  const example = images.find((image) => image['id'] === id) ?? images.find(({ name }) => String(name).startsWith('Daily-web'))
  const said = { ...example, id, scheduled_images__image: id, created_at: '2020-01-01T00:00:00Z', status: 'active', size: 5, protected: false }
  return { ...rest, images: [...images.filter((image) => image['id'] !== id), ...(example ? [said] : [])] }
}

let pages = 0

/** Adds a further page to a listing, in Glance's way and in Nova's. */
function linked(json: unknown, { path }: Visit, link: (typeof links)[number], elsewhere: string): unknown {
  const [resource = '', query = ''] = path.replace(/^\/(image|compute|volume)/, '').split('?')
  pages += 1
  const next = {
    same: `${resource}?${query}&marker=1`,
    fresh: `${resource}?${query}&marker=${pages}`,
    elsewhere: `${elsewhere}/`,
    'elsewhere with path': `${elsewhere}${resource}?marker=${pages}`,
    'no text': 7,
  }[link]
  const rel = { rel: 'next', href: next }
  return { ...(json as Json), next, servers_links: [rel], snapshots_links: [rel] }
}

function headerOf(header: (typeof headers)[number], { path }: Visit, elsewhere: string): Record<string, string> {
  switch (header) {
    case 'none':
      return {}
    case 'location':
      return { location: `${elsewhere}${path}` }
    case 'refresh':
      return { refresh: `0; url=${elsewhere}`, link: `<${elsewhere}>; rel="next"`, 'content-location': elsewhere }
    case 'retry soon':
      return { 'retry-after': '0' }
    case 'retry late':
      return { 'retry-after': '99999999999999999999' }
    case 'retry never':
      return { 'retry-after': 'Tomorrow' }
    case 'gzip':
      return { 'content-encoding': 'gzip' }
    case 'html':
      return { 'content-type': 'text/html' }
    case 'long request id':
      return { 'x-openstack-request-id': 'req-'.repeat(1000) }
  }
}

function bodyOf(says: Extract<Deed, { kind: 'status' }>['says'], visit: Visit): string {
  switch (says) {
    case 'nothing':
      return ''
    case 'JSON':
      return '{"error":{"code":500,"message":"It went wrong"}}'
    case 'HTML':
      return '<html><head><title>Oh</title></head><body><h1>It went &constructor; wrong</h1>&#xd800;</body></html>'
    case 'what it was sent':
      return JSON.stringify({ message: `You sent ${JSON.stringify(visit.headers)} ${visit.body}` })
  }
}
