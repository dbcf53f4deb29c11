import { parse as parseYaml } from 'yaml'
import * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'

/**
 * One entry of a `clouds.yaml`: what stands under `clouds.<name>`, as python-openstackclient reads it, and beside it our
 * own `max_in_flight`.
 *
 * @see https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
 */
export interface CloudConfig {
  /** Keystone's URL, with `/v3` at its end. */
  readonly authUrl: string
  readonly credentials: ApplicationCredential | Password
  /** Undefined: the catalog must have one region only. */
  readonly region: string | undefined
  readonly interface: 'public' | 'internal' | 'admin'
  /** False switches the check of certificates off, for this cloud only. */
  readonly verify: boolean
  /** PEM text of the certificate authorities to trust. */
  readonly cacert: string | undefined
  readonly overrides: { readonly [Service in ServiceName]?: string }
  /** How many images may be saving at once; 1–1000, default 10. */
  readonly maxInFlight: number
  /** The same for the servers of one compute host; 1–1000, default 5, which is how many Nova makes there at once. */
  readonly maxInFlightPerHost: number
}

export type ServiceName = 'compute' | 'image' | 'block-storage'

/** Bound to one project, so it is sent without a scope. The name needs the user it belongs to. */
export interface ApplicationCredential {
  readonly kind: 'application credential'
  readonly secret: string
  readonly application: { readonly id: string } | { readonly name: string; readonly user: Principal }
}

export interface Password {
  readonly kind: 'password'
  readonly password: string
  readonly user: Principal
  readonly project: { readonly id: string } | { readonly name: string; readonly domain: Domain } | undefined
}

export type Principal = { readonly id: string } | { readonly name: string; readonly domain: Domain }
export type Domain = { readonly id: string } | { readonly name: string }

const text = z.union([z.string(), z.number(), z.bigint()]).transform(String).pipe(z.string().min(1))
const authSchema = z.object({
  auth_url: z.url({ protocol: /^https?$/ }),
  application_credential_id: text.optional(),
  application_credential_name: text.optional(),
  application_credential_secret: text.optional(),
  username: text.optional(),
  user_id: text.optional(),
  password: text.optional(),
  project_id: text.optional(),
  project_name: text.optional(),
  tenant_id: text.optional(),
  tenant_name: text.optional(),
  user_domain_id: text.optional(),
  user_domain_name: text.optional(),
  project_domain_id: text.optional(),
  project_domain_name: text.optional(),
  domain_id: text.optional(),
  domain_name: text.optional(),
  default_domain: text.optional(),
})
type Auth = z.output<typeof authSchema>

const authTypes = ['password', 'v3password', 'v3applicationcredential'] as const
const entrySchema = z.object({
  auth: authSchema,
  auth_type: z.enum(authTypes).optional(),
  region_name: text.optional(),
  regions: z.array(z.union([text, z.object({ name: text })])).optional(),
  interface: z.preprocess((value) => (typeof value === 'string' ? value.replace(/URL$/, '') : value), z.enum(['public', 'internal', 'admin']).default('public')),
  verify: z.preprocess((value) => (typeof value === 'string' ? { true: true, false: false }[value.toLowerCase()] ?? value : value), z.boolean().default(true)),
  cacert: z.string().includes('-----BEGIN CERTIFICATE-----').optional(),
  compute_endpoint_override: z.url().optional(),
  image_endpoint_override: z.url().optional(),
  block_storage_endpoint_override: z.url().optional(),
  volume_endpoint_override: z.url().optional(),
  volumev3_endpoint_override: z.url().optional(),
  max_in_flight: z.coerce.number().int().min(1).max(1000).default(10),
  max_in_flight_per_host: z.coerce.number().int().min(1).max(1000).default(5),
})

/** The fields of `auth`, and those beside it, that {@link parseCloudConfig} reads. */
export const authFields: readonly string[] = Object.keys(authSchema.shape)
export const entryFields: readonly string[] = Object.keys(entrySchema.shape)

/** Finishes the sentence "`x` must be …". Values are never shown: any of them may be a secret in the wrong place. */
const expectations: Record<string, string> = {
  auth: 'a mapping with auth_url and the credentials',
  'auth.auth_url': "Keystone's URL, such as https://keystone.example.com:5000/v3",
  auth_type: `one of ${authTypes.join(', ')}, or left out`,
  interface: 'public, internal or admin',
  verify: 'true or false',
  cacert: 'the PEM text of the certificates themselves, not a path',
  max_in_flight: 'a whole number from 1 to 1000',
  max_in_flight_per_host: 'a whole number from 1 to 1000',
}

/**
 * Reads a cloud's parameter.
 *
 * @param source - One entry of a clouds.yaml, as YAML or JSON.
 * @param cloud - The cloud's name, for the sentences.
 * @param what - What `source` is, where it is no parameter: it begins the sentences.
 * @throws ScheduledImagesError `CLOUD_PARAMETER_INVALID`, which names the field and the fix and shows no value.
 */
export function parseCloudConfig(source: string, cloud: string, what = `The parameter of cloud "${cloud}"`): CloudConfig {
  const fail = (message: string): ScheduledImagesError => new ScheduledImagesError('CLOUD_PARAMETER_INVALID', `${what} is not usable: ${message}`)
  let entry: unknown
  try {
    // A number keeps its digits: it may be a password.
    entry = parseYaml(source, { intAsBigInt: true })
  } catch {
    // The parser's own message quotes the text, and so may quote a secret.
    throw fail('it is neither YAML nor JSON.')
  }
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw fail('it must be a mapping: what stands under clouds.<name> in a clouds.yaml.')
  if ('clouds' in entry) throw fail('it holds a whole clouds.yaml; store only what stands under clouds.<name>.')
  const parsed = entrySchema.safeParse(entry)
  if (!parsed.success) {
    const fields = new Set(parsed.error.issues.map(({ path }) => path.join('.')))
    throw fail([...fields].map((field) => `"${field}" must be ${expectations[field] ?? 'filled in and of the right type'}`).join('; ') + '.')
  }
  const { auth, ...rest } = parsed.data
  const [region] = (rest.regions ?? []).map((name) => (typeof name === 'string' ? name : name.name))
  return {
    authUrl: keystoneV3(auth.auth_url),
    credentials: readCredentials(auth, rest.auth_type, fail),
    region: rest.region_name ?? (rest.regions?.length === 1 ? region : undefined),
    interface: rest.interface,
    verify: rest.verify,
    cacert: rest.cacert,
    overrides: overridesOf(rest),
    maxInFlight: rest.max_in_flight,
    maxInFlightPerHost: rest.max_in_flight_per_host,
  }
}

function readCredentials(auth: Auth, authType: (typeof authTypes)[number] | undefined, fail: (message: string) => Error): CloudConfig['credentials'] {
  const byApplication = authType === undefined ? (auth.application_credential_id ?? auth.application_credential_name) !== undefined : authType === 'v3applicationcredential'
  const user = principal(auth)
  if (byApplication) {
    if (!auth.application_credential_secret) throw fail('"auth.application_credential_secret" is missing.')
    if (auth.application_credential_id) {
      return { kind: 'application credential', secret: auth.application_credential_secret, application: { id: auth.application_credential_id } }
    }
    if (!auth.application_credential_name) throw fail('"auth.application_credential_id" is missing.')
    if (!user) throw fail('"auth.application_credential_name" needs its user as well: add "auth.username" and "auth.user_domain_name", or give "auth.application_credential_id" instead.')
    return { kind: 'application credential', secret: auth.application_credential_secret, application: { name: auth.application_credential_name, user } }
  }
  if (!user) throw fail('"auth.application_credential_id" and "auth.application_credential_secret" are missing, and so are "auth.username" and "auth.password".')
  if (!auth.password) throw fail('"auth.password" is missing.')
  return { kind: 'password', password: auth.password, user, project: projectOf(auth) }
}

function principal(auth: Auth): Principal | undefined {
  if (auth.user_id) return { id: auth.user_id }
  return auth.username ? { name: auth.username, domain: domain(auth.user_domain_id ?? auth.domain_id, auth.user_domain_name ?? auth.domain_name, auth) } : undefined
}

function projectOf(auth: Auth): Password['project'] {
  const id = auth.project_id ?? auth.tenant_id
  const name = auth.project_name ?? auth.tenant_name
  if (id) return { id }
  return name ? { name, domain: domain(auth.project_domain_id, auth.project_domain_name, auth) } : undefined
}

/** Keystone refuses a name without a domain; python-openstackclient falls back on the domain whose id is `default`. */
function domain(id: string | undefined, name: string | undefined, { default_domain }: Auth): Domain {
  if (id) return { id }
  return name ? { name } : { id: default_domain ?? 'default' }
}

function overridesOf(entry: Omit<z.output<typeof entrySchema>, 'auth'>): CloudConfig['overrides'] {
  const blockStorage = entry.block_storage_endpoint_override ?? entry.volumev3_endpoint_override ?? entry.volume_endpoint_override
  return {
    ...(entry.compute_endpoint_override && { compute: entry.compute_endpoint_override }),
    ...(entry.image_endpoint_override && { image: entry.image_endpoint_override }),
    ...(blockStorage && { 'block-storage': blockStorage }),
  }
}

function keystoneV3(url: string): string {
  const bare = url.replace(/\/+$/, '')
  return bare.endsWith('/v3') ? bare : `${bare.replace(/\/v2\.0$/, '')}/v3`
}
