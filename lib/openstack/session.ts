import type * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'
import type { Login } from '../model/examination.ts'
import { parseAnswer } from './answer.ts'
import { endpointOf } from './catalog.ts'
import type { CloudConfig, ServiceName } from './config.ts'
import { issueToken, type Token } from './identity.ts'
import { OpenStackError, type Answer, type Request, type Transport } from './transport.ts'

/** A token is replaced when less than this is left of it, or a quarter of its life if that is less. */
const refreshBeforeMs = 10 * 60_000

/** Where a token outlives one session: a warm Lambda keeps it from one tick to the next. */
export interface TokenCache {
  token?: Token | undefined
  issuedAt?: Date | undefined
}

/** Sends requests with a cloud's token to the services of its catalog. */
export class Session {
  readonly #config: CloudConfig
  readonly #transport: Transport
  readonly #clock: () => Date
  readonly #cache: TokenCache
  #asking: Promise<Token> | undefined
  #refusesNewTokens = false

  constructor(config: CloudConfig, transport: Transport, clock: () => Date, cache: TokenCache = {}) {
    this.#config = config
    this.#transport = transport
    this.#clock = clock
    this.#cache = cache
  }

  /** The id of the project that the credentials are for. */
  async project(): Promise<string> {
    return (await this.#token()).project
  }

  /** Who the credentials are. */
  async login(): Promise<Login> {
    const { user, roles, project, projectName, application, passwordExpiresAt, issuedAt, expiresAt } = await this.#token()
    const { credentials, authUrl, verify, region } = this.#config
    const readAt = this.#cache.issuedAt
    return {
      kind: credentials.kind, roles, user, application, passwordExpiresAt, authUrl, verify, region,
      project: { id: project, name: projectName },
      tokenExpiresAt: expiresAt,
      clockAheadMs: issuedAt && readAt ? readAt.getTime() - issuedAt.getTime() : undefined,
    }
  }

  /** The URL of a service; see {@link endpointOf}. */
  async endpoint(service: ServiceName): Promise<string> {
    const { catalog, project } = await this.#token()
    return endpointOf(service, catalog, this.#config, project)
  }

  /**
   * Sends one request.
   *
   * A 401 is answered with one new token and one more try: the token may have been revoked, or a service may have
   * forgotten it. A second 401 in a row is an error, since access rules refuse with 401 too, and then for ever.
   *
   * @param path - What follows the service's URL.
   */
  async send(service: ServiceName, path: string, request: Omit<Request, 'url'>): Promise<Answer> {
    return this.#send((await this.endpoint(service)) + path, request)
  }

  /** The same to Keystone. */
  async sendToKeystone(path: string, request: Omit<Request, 'url'>): Promise<Answer> {
    return this.#send(this.#config.authUrl + path, request)
  }

  async #send(url: string, request: Omit<Request, 'url'>): Promise<Answer> {
    const token = await this.#token()
    const authorised = ({ value }: Token): Request => ({ ...request, url, secrets: [value], headers: { ...request.headers, 'X-Auth-Token': value } })
    try {
      return await this.#transport.send(authorised(token))
    } catch (error) {
      if (!(error instanceof OpenStackError) || error.status !== 401) throw error
      if (this.#refusesNewTokens) throw this.#refusal(request, error)
    }
    if (this.#cache.token === token) this.#cache.token = undefined
    try {
      return await this.#transport.send(authorised(await this.#token()))
    } catch (error) {
      if (!(error instanceof OpenStackError) || error.status !== 401) throw error
      this.#refusesNewTokens = true
      throw this.#refusal(request, error)
    }
  }

  #refusal({ what }: Omit<Request, 'url'>, error: OpenStackError): ScheduledImagesError {
    const message = `${what} was refused (401) with a new token as well: the application credential was deleted a moment ago, or its access rules do not allow this.`
    return new ScheduledImagesError('CLOUD_AUTH_FAILED', message, { cause: error, requestId: error.requestId })
  }

  /** Sends one request, and parses its JSON answer. @throws ScheduledImagesError `ANSWER_INVALID` for anything else. */
  async get<Schema extends z.ZodType>(service: ServiceName, path: string, schema: Schema, request: Omit<Request, 'url' | 'method'>): Promise<z.output<Schema>> {
    const answer = await this.send(service, path, { ...request, method: 'GET' })
    return parseAnswer(answer, schema, request.what)
  }

  async #token(): Promise<Token> {
    const { token, issuedAt } = this.#cache
    if (token && issuedAt) {
      const life = token.expiresAt.getTime() - issuedAt.getTime()
      if (token.expiresAt.getTime() - this.#clock().getTime() > Math.min(refreshBeforeMs, life / 4)) return token
    }
    // Concurrent requests share one token request.
    this.#asking ??= issueToken(this.#config, this.#transport)
      .then((issued) => {
        this.#cache.token = issued
        this.#cache.issuedAt = this.#clock()
        return issued
      })
      .finally(() => {
        this.#asking = undefined
      })
    return this.#asking
  }
}
