import * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'
import { json } from './answer.ts'
import { catalogSchema, type Catalog } from './catalog.ts'
import type { CloudConfig, Domain, Principal } from './config.ts'
import { OpenStackError, type Transport } from './transport.ts'

/** What Keystone gives for a cloud's credentials. The value is a secret: it is never logged and never in an error. */
export interface Token {
  readonly value: string
  readonly expiresAt: Date
  /** Id of the project that it is for. */
  readonly project: string
  readonly projectName: string
  readonly user: { readonly id: string; readonly name: string } | undefined
  readonly roles: readonly string[]
  readonly application: { readonly id: string; readonly name: string; readonly restricted: boolean | undefined } | undefined
  /** By Keystone's clock. */
  readonly issuedAt: Date | undefined
  readonly passwordExpiresAt: Date | undefined
  readonly catalog: Catalog
}

/** A time as Keystone writes it. */
export const instant = z.string().transform(utc).refine((at) => !Number.isNaN(at.getTime()))
// What people are told and nothing goes by must not keep a token from being used.
const tokenSchema = z.object({
  token: z.object({
    expires_at: instant,
    issued_at: instant.optional().catch(undefined),
    project: z.object({ id: z.string().min(1), name: z.string().catch('') }).optional(),
    user: z.object({ id: z.string(), name: z.string(), password_expires_at: instant.nullish().catch(undefined) }).optional().catch(undefined),
    roles: z.array(z.object({ name: z.string() })).catch([]),
    application_credential: z.object({ id: z.string(), name: z.string().catch(''), restricted: z.boolean().optional() }).optional().catch(undefined),
    catalog: catalogSchema.optional(),
  }),
})

/**
 * Asks Keystone for a token of the configured project.
 *
 * @throws ScheduledImagesError `CLOUD_AUTH_FAILED`, `CLOUD_UNSCOPED` or `CLOUD_UNREACHABLE`.
 * @see https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
 */
export async function issueToken(config: CloudConfig, transport: Transport): Promise<Token> {
  const { credentials } = config
  const secrets = [credentials.kind === 'password' ? credentials.password : credentials.secret]
  const answer = await transport
    .send({ method: 'POST', url: `${config.authUrl}/auth/tokens`, body: { auth: authOf(config) }, repeatable: true, secrets, what: 'Asking Keystone for a token' })
    .catch((error: unknown) => {
      throw refusal(config, error)
    })
  const parsed = tokenSchema.safeParse(json(answer.text))
  const value = answer.headers['x-subject-token']
  if (!parsed.success || typeof value !== 'string') {
    throw new ScheduledImagesError('ANSWER_INVALID', `${config.authUrl} did not answer as Keystone v3 does; check "auth.auth_url".`, answer)
  }
  const { expires_at, issued_at, project, catalog, user, roles, application_credential } = parsed.data.token
  if (!project || !catalog) {
    // Without a scope Nova and Glance would answer with empty lists: "nothing to do" instead of an error (lab finding, §6).
    throw new ScheduledImagesError('CLOUD_UNSCOPED', 'The user has no default project, so the token is for no project; add "auth.project_name" and "auth.project_domain_name".', answer)
  }
  return {
    value,
    expiresAt: expires_at,
    project: project.id,
    projectName: project.name,
    user: user && { id: user.id, name: user.name },
    roles: roles.map(({ name }) => name),
    application: application_credential && { id: application_credential.id, name: application_credential.name, restricted: application_credential.restricted },
    issuedAt: issued_at,
    passwordExpiresAt: user?.password_expires_at ?? undefined,
    catalog,
  }
}

function authOf({ credentials }: CloudConfig): unknown {
  if (credentials.kind === 'application credential') {
    const { application, secret } = credentials
    const named = 'id' in application ? { id: application.id } : { name: application.name, user: principalOf(application.user) }
    // A scope beside an application credential is refused, even that of its own project (lab finding, §6).
    return { identity: { methods: ['application_credential'], application_credential: { ...named, secret } } }
  }
  const { user, password, project } = credentials
  return {
    identity: { methods: ['password'], password: { user: { ...principalOf(user), password } } },
    ...(project && { scope: { project: 'id' in project ? project : { name: project.name, domain: domainOf(project.domain) } } }),
  }
}

function principalOf(user: Principal): object {
  return 'id' in user ? { id: user.id } : { name: user.name, domain: domainOf(user.domain) }
}

function domainOf(domain: Domain): object {
  return 'id' in domain ? { id: domain.id } : { name: domain.name }
}

/** Keystone says 401 for everything wrong with a password, and 404 for an application credential that is gone (lab finding, §6). */
function refusal(config: CloudConfig, error: unknown): unknown {
  if (!(error instanceof OpenStackError)) return error
  const options = { cause: error, requestId: error.requestId }
  const said = error.answer ? ` Keystone says: ${error.answer}` : ''
  if (error.status === 401) {
    const hint =
      config.credentials.kind === 'password'
        ? 'check the user, the password and the project; Keystone does not say which of them is wrong'
        : 'check the id and the secret of the application credential, and that it has not expired'
    return new ScheduledImagesError('CLOUD_AUTH_FAILED', `Keystone refused the credentials: ${hint}.`, options)
  }
  if (error.status === 404 && config.credentials.kind === 'application credential' && /credential/i.test(error.answer)) {
    return new ScheduledImagesError('CLOUD_AUTH_FAILED', 'Keystone does not know this application credential: it was deleted, or its id is wrong.', options)
  }
  if (error.status >= 400 && error.status < 500 && error.status !== 429) {
    return new ScheduledImagesError('CLOUD_AUTH_FAILED', `Keystone did not accept the request for a token (${error.status}); check "auth.auth_url" and the domains.${said}`, options)
  }
  return new ScheduledImagesError('CLOUD_UNREACHABLE', error.status ? `Keystone does not work at this moment (${error.status}).${said}` : error.message, options)
}

/** A token of an application credential that expires has neither fraction nor zone, and is in UTC all the same (lab finding, §6). */
function utc(text: string): Date {
  return new Date(/(?:Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`)
}
