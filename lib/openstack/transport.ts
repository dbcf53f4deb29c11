import http from 'node:http'
import https from 'node:https'
import axios, { AxiosError, type AxiosInstance } from 'axios'
import { ScheduledImagesError, type ErrorCode } from '../model/errors.ts'
import { errorMessage } from './error-body.ts'

/** How a request reaches a server, and how often it is tried. */
export interface TransportOptions {
  /** PEM text of the certificate authorities to trust instead of the system's. */
  readonly cacert?: string | undefined
  /** Default true. */
  readonly verify?: boolean
  /** How requests over plain HTTP leave the process. Default: kept-alive sockets of our own. */
  readonly agent?: http.Agent
  /** How long requests may still take at all, in milliseconds. Default: no limit but each request's own. */
  readonly timeLeftMs?: () => number
  readonly sleep?: (ms: number) => Promise<void>
  /** 0 ≤ random < 1, for the jitter of {@link retryPolicy}. */
  readonly random?: () => number
}

/**
 * Reads and deletes are tried again after a connection that failed, 429, 500, 502, 503, 504, and after 413 if it comes with
 * `Retry-After` (without, it is a quota). The server's `Retry-After` wins over our own delay, up to the limit.
 * Nothing else is tried again: createImage is not idempotent.
 */
export const retryPolicy = {
  attempts: 4,
  /** Before the second attempt; doubles. A random half of it is added. */
  firstDelayMs: 500,
  /** A server that asks for longer is left to the next tick. */
  longestDelayMs: 20_000,
} as const

const retriedStatuses = new Set([429, 500, 502, 503, 504])

/** Per request, unless it says otherwise. createImage waits longer: Nova answers after seconds when it is busy (lab finding, §10). */
const defaultTimeoutMs = 30_000
/** What an invocation needs after its last request, to write down what came of it. */
const closingMs = 10_000
/** A page of 1000 images is about 3 MB. */
const longestBody = 64 * 1024 * 1024
/** A token has at least so many characters. */
const longSecret = 20
/** Sockets to one host: more of them only queue inside OpenStack. */
const maxSockets = 10

export interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Overrides the content type of `body`. */
  readonly contentType?: string
  readonly timeoutMs?: number
  /** Statuses that are answers rather than errors; 2xx always are. */
  readonly expect?: readonly number[]
  /** Keystone's token request changes nothing, so it is tried again like a read. */
  readonly repeatable?: boolean
  /** What the answer may not repeat where people can read it. */
  readonly secrets?: readonly string[]
  /** Begins the sentence of an error: "Listing servers". Holds no secret. */
  readonly what: string
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  readonly requestId: string | undefined
}

/** An answer that is not a success. `code` says what kind; `status` is HTTP's. */
export class OpenStackError extends ScheduledImagesError {
  override readonly name = 'OpenStackError'
  /** 0 when there was no answer at all. */
  readonly status: number
  /** What the service itself said, as one line. */
  readonly answer: string
  /** How long the service asks us to wait, if it does. */
  readonly retryAfterMs: number | undefined
  /** The request certainly never reached the service: there was no connection to send it on. */
  readonly neverSent: boolean

  constructor(
    code: ErrorCode,
    message: string,
    options: { status: number; answer: string; requestId?: string | undefined; retryAfterMs?: number | undefined; neverSent?: boolean; cause?: unknown },
  ) {
    super(code, message, options)
    this.status = options.status
    this.answer = options.answer
    this.retryAfterMs = options.retryAfterMs
    this.neverSent = options.neverSent ?? false
  }
}

/**
 * Sends requests. One for each cloud and invocation; its sockets are kept alive and capped. The next invocation does not use
 * them: a socket that the cloud closed while a Lambda was frozen would lose the answer of a createImage.
 */
export class Transport {
  readonly #axios: AxiosInstance
  readonly #timeLeftMs: () => number
  readonly #sleep: (ms: number) => Promise<void>
  readonly #random: () => number

  constructor(options: TransportOptions) {
    this.#timeLeftMs = options.timeLeftMs ?? (() => Infinity)
    this.#sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)))
    this.#random = options.random ?? Math.random
    this.#axios = axios.create({
      ...createAgents(options),
      // A redirect to another host would take X-Auth-Token along: axios only drops Authorization.
      maxRedirects: 0,
      maxContentLength: longestBody,
      responseType: 'text',
      transformResponse: (data: unknown) => data,
      validateStatus: () => true,
    })
  }

  /**
   * @throws OpenStackError with the code that fits, and a message that names the request but never its body or headers.
   */
  async send(request: Request): Promise<Answer> {
    const repeatable = request.repeatable ?? (request.method === 'GET' || request.method === 'DELETE')
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#once(request)
      if (!(outcome instanceof OpenStackError)) return outcome
      const delay = repeatable && attempt < retryPolicy.attempts ? this.#delayBefore(outcome, attempt) : undefined
      if (delay === undefined || delay >= this.#timeLeftMs() - closingMs) throw outcome
      await this.#sleep(delay)
    }
  }

  async #once(request: Request): Promise<Answer | OpenStackError> {
    const timeLeft = this.#timeLeftMs() - closingMs
    if (timeLeft <= 0) return new OpenStackError('CLOUD_UNREACHABLE', `${request.what} was not begun: no time is left in this invocation.`, { status: 0, answer: '', neverSent: true })
    const timeoutMs = Math.min(request.timeoutMs ?? defaultTimeoutMs, timeLeft)
    try {
      const { status, headers, data } = await this.#axios.request<string>({
        method: request.method,
        url: request.url,
        headers: { Accept: 'application/json', ...(request.body !== undefined && { 'Content-Type': request.contentType ?? 'application/json' }), ...request.headers },
        ...(request.body !== undefined && { data: JSON.stringify(request.body) }),
        // axios' own timeout ends with the headers; a body that drips on needs the signal.
        timeout: timeoutMs,
        signal: AbortSignal.timeout(timeoutMs),
      })
      const succeeded = (status >= 200 && status < 300) || request.expect?.includes(status)
      // A short secret may be a word that a good answer needs.
      const secrets = (request.secrets ?? []).filter((secret) => !succeeded || secret.length >= longSecret)
      const answer: Answer = { status, headers, text: without(secrets, data ?? ''), requestId: without(secrets, requestIdOf(headers)) }
      return succeeded ? answer : refused(request, answer)
    } catch (error) {
      return unanswered(request, error, timeoutMs)
    }
  }

  #delayBefore(error: OpenStackError, attempt: number): number | undefined {
    const wanted = error.retryAfterMs
    const retried = error.status === 0 ? error.code === 'CLOUD_UNREACHABLE' : retriedStatuses.has(error.status) || (error.status === 413 && wanted !== undefined)
    if (!retried) return undefined
    const delay = wanted ?? retryPolicy.firstDelayMs * 2 ** (attempt - 1) * (1 + this.#random() / 2)
    return delay <= retryPolicy.longestDelayMs ? delay : undefined
  }
}

/** Keystone's "Could not find token: …" is one that repeats what it was sent. */
function without<Text extends string | undefined>(secrets: readonly string[], text: Text): Text {
  return secrets.reduce<string | undefined>((rest, secret) => rest?.replaceAll(secret, '***'), text) as Text
}

function createAgents({ agent, cacert, verify = true }: TransportOptions): { httpAgent: http.Agent; httpsAgent: https.Agent } {
  const shared = { keepAlive: true, maxSockets }
  return {
    httpAgent: agent ?? new http.Agent(shared),
    httpsAgent: new https.Agent({ ...shared, rejectUnauthorized: verify, ...(cacert !== undefined && { ca: cacert }) }),
  }
}

function refused(request: Request, answer: Answer): OpenStackError {
  const said = errorMessage(answer.text)
  const message = `${request.what} was answered ${answer.status}${said ? `: ${said}` : ''}`.replace(/\.?$/, '.')
  return new OpenStackError(codeOf(answer.status), message, {
    status: answer.status,
    answer: said,
    requestId: answer.requestId,
    retryAfterMs: retryAfterMs(answer.headers),
  })
}

function unanswered(request: Request, error: unknown, timeoutMs: number): OpenStackError {
  if (!(error instanceof AxiosError) && !axios.isCancel(error)) throw error
  const code = error.code ?? 'no answer'
  const said = error.message.replaceAll(/\s+/g, ' ').trim()
  const reason = said.includes(code) ? said : `${code}: ${said}`
  const timedOut = code === 'ECONNABORTED' || code === 'ERR_CANCELED' || code === 'ETIMEDOUT'
  const why = timedOut ? `no answer within ${Math.round(timeoutMs / 1000)} s` : reason
  return new OpenStackError(code === 'ERR_BAD_RESPONSE' ? 'ANSWER_INVALID' : 'CLOUD_UNREACHABLE', `${request.what} failed at ${new URL(request.url).host} (${why}).`, {
    status: 0,
    answer: '',
    neverSent: isBeforeConnection(code, (error.cause as { syscall?: unknown } | undefined)?.syscall),
    // Neither the AxiosError nor its config may travel along: both hold the token.
    cause: new Error(reason),
  })
}

/** Errors of looking up a name, of connecting, and of a certificate: all before the first byte of a request. */
function isBeforeConnection(code: string, syscall: unknown): boolean {
  return syscall === 'connect' || syscall === 'getaddrinfo' || code === 'ECONNREFUSED' || /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|ERR_TLS_CERT_)/.test(code)
}

function codeOf(status: number): ErrorCode {
  if (status === 400) return 'BAD_REQUEST'
  if (status === 401) return 'CLOUD_AUTH_FAILED'
  if (status === 403) return 'FORBIDDEN'
  if (status === 404) return 'NOT_FOUND'
  if (status === 409) return 'CONFLICT'
  if (status === 413 || status === 429) return 'RATE_LIMITED'
  if (status >= 500) return 'CLOUD_ERROR'
  return status < 400 ? 'ANSWER_INVALID' : 'BAD_REQUEST'
}

function requestIdOf(headers: Readonly<Record<string, unknown>>): string | undefined {
  const id = headers['x-openstack-request-id'] ?? headers['x-compute-request-id']
  return typeof id === 'string' ? id : undefined
}

/** `Retry-After` is in seconds, or an HTTP date, which is counted from the answer's own. */
function retryAfterMs(headers: Readonly<Record<string, unknown>>): number | undefined {
  const header = headers['retry-after']
  if (typeof header !== 'string') return undefined
  if (/^\d+$/.test(header)) return Number(header) * 1000
  const wait = Date.parse(header) - Date.parse(String(headers['date']))
  return Number.isNaN(wait) ? undefined : Math.max(0, wait)
}
