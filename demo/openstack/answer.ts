/** One HTTP request, as a service sees it. */
export interface WireRequest {
  readonly method: string
  /** As sent: inside the service, without the query (`/v2/images/ID`). */
  readonly path: string
  readonly query: URLSearchParams
  /** The query as it was sent, without `?`. */
  readonly search: string
  /** Lower-case names; of a repeated header the first. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** `req-…`: goes back in a header, and into nova's list of a server's actions. */
  readonly requestId: string
}

/** One service: what it answers, and how it words a refusal. */
export interface Service {
  answer(request: WireRequest): Answer
  refuse(refusal: Refusal): Answer
}

/** One HTTP answer. `content-length` is added on the way out. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a service says instead of doing the work; each service renders it in its own error format. */
export class Refusal extends Error {
  readonly status: number
  /** A second line under the message; only Glance has one. */
  readonly detail: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, detail = '', headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'Refusal'
    this.status = status
    this.detail = detail
    this.headers = headers
  }
}

/** An answer with a JSON body. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}

/** An answer without a body. */
export function empty(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: '' }
}

/** An HTML page in the shape that Glance, and nova for unknown paths, give errors (lab README §5). */
export function page(status: number, message: string, detail = ''): Answer {
  const title = `${status} ${REASONS[status] ?? 'Unknown'}`
  const body = `<html>
 <head>
  <title>${title}</title>
 </head>
 <body>
  <h1>${title}</h1>
  ${escapeHtml(message)}<br /><br />
${escapeHtml(detail)}


 </body>
</html>`
  return { status, headers: { 'content-type': 'text/html; charset=UTF-8' }, body }
}

/** A {@link page} as Glance gives it to who accepts `application/json` and nothing else (seen on the same release). */
export function pageAsJson(answer: Answer): Answer {
  const [, title = '', message = ''] = /<h1>(.*?)<\/h1>\n {2}(.*)\n <\/body>/s.exec(answer.body) ?? []
  return json(answer.status, { message: unescapeHtml(message), code: title, title: title.replace(/^\d+ /, '') })
}

function unescapeHtml(text: string): string {
  return Object.entries(HTML).reduce((plain, [character, escaped]) => plain.replaceAll(escaped, character), text)
}

/** Python's `html.escape`, as the services use it. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => HTML[character] ?? character)
}

const HTML: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' }

/** The reason phrases that appear in bodies. */
export const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

const NOVA_KEYS: Record<number, string> = {
  400: 'badRequest',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  503: 'serviceUnavailable',
}

/** Nova's and Cinder's errors: JSON under a key that depends on the status (lab README §2, §7). */
export function novaFault(status: number, message: string): Answer {
  if (status === 401) return unauthorized()
  const key = NOVA_KEYS[status] ?? 'computeFault'
  return json(status, { [key]: { code: status, message } }, { 'content-type': 'application/json; charset=UTF-8' })
}

/** What stands before nova and Cinder says of tokens: key `error`, unlike their own faults (lab README §6). */
export function unauthorized(): Answer {
  const message = 'The request you have made requires authentication.'
  return json(401, { error: { code: 401, title: 'Unauthorized', message } })
}

/** Keystone's errors. */
export function keystoneFault(status: number, message: string, extra: Record<string, unknown> = {}): Answer {
  const error = { code: status, ...extra, message, title: REASONS[status] ?? 'Error' }
  return json(status, { error })
}
