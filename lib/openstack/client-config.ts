import { ScheduledImagesError } from '../model/errors.ts'
import { firstFile, inFolder, isMapping, searchPath, type ClientEdges, type ClientFile, type Mapping } from './client-files.ts'
import { authFields, entryFields } from './config.ts'

/** Credentials as python-openstackclient finds them, for `parseCloudConfig`. */
export interface ClientCloud {
  /** The name of the entry; `envvars` when variables alone say everything. */
  readonly name: string
  /** Where it was found, for people: `entry alpha of /etc/openstack/clouds.yaml`. */
  readonly source: string
  /** One entry of a clouds.yaml with everything merged and `cacert` as PEM text. It holds secrets. */
  readonly entry: Mapping
}

export type ClientCloudName = Pick<ClientCloud, 'name' | 'source'>

/** Auth fields of which the entry's value wins over a variable; of all others the variable wins. So python-openstackclient does. */
const ofEntryFirst = new Set(['project_id', 'project_name', 'domain_id', 'domain_name', 'user_domain_id', 'user_domain_name', 'project_domain_id', 'project_domain_name'])
const tenants: Readonly<Record<string, string>> = { project_id: 'tenant_id', project_name: 'tenant_name' }
/** What variables give to an entry, beside its credentials and its region. */
const optionFields = ['auth_type', 'interface', 'cacert', 'default_domain']

/**
 * The names of all clouds that can be found: those of the first `clouds.yaml`, and `envvars` if there are credentials in `OS_*` variables.
 *
 * @throws ScheduledImagesError `CREDENTIALS_INVALID`, for a file that is not usable.
 */
export function listClouds(edges: ClientEdges): ClientCloudName[] {
  const files = readFiles(edges)
  const named = Object.keys(files.clouds).map((name) => ({ name, source: sourceOf(name, files) }))
  return hasVariables(edges) ? [...named, { name: variablesName(edges), source: variablesSource }] : named
}

/**
 * Finds one cloud's credentials where python-openstackclient finds them, with its rules of what wins:
 *
 * - The first `clouds.yaml` counts: that of `OS_CLIENT_CONFIG_FILE`, then in the working directory, `~/.config/openstack` and
 *   `/etc/openstack`. The first `secure.yaml` (`OS_CLIENT_SECURE_FILE`) is merged into it, and a `profile` of `clouds-public.yaml` is what the entry is
 *   based on.
 * - Without a name it is that of `OS_CLOUD`; without that the `OS_*` variables alone, if there are any credentials in them; else the entry that is called
 *   `default`, which is our own rule, or the only one.
 * - With an entry, variables still win, but for its project and its domains; `OS_REGION_NAME` chooses one of its regions.
 *
 * @param name - An entry, or `envvars`. `default` is the same as none.
 * @throws ScheduledImagesError `CREDENTIALS_MISSING`, which says where was looked and what is missing, `CREDENTIALS_INVALID`, or
 *   `CLOUD_REGION_UNKNOWN`. None shows a value.
 */
export function findCloud(edges: ClientEdges, name?: string): ClientCloud {
  const files = readFiles(edges)
  const asked = name === 'default' ? undefined : name
  const chosen = asked ?? chosenName(edges, files)
  if (chosen === variablesName(edges) && !Object.hasOwn(files.clouds, chosen)) return fromVariables(edges, asked === undefined)
  if (!Object.hasOwn(files.clouds, chosen)) throw unknownCloud(chosen, files, edges)
  const own = files.clouds[chosen] ?? {}
  if (!isMapping(own)) throw new ScheduledImagesError('CREDENTIALS_INVALID', `Cloud "${chosen}" of ${files.path} must be a mapping with "auth" and the credentials.`)
  const based = onProfile(chosen, withUnderscores(own), edges)
  const given = pick(variablesOf(edges), [...authFields, ...optionFields, 'region_name'])
  const { region_name, ...options } = given
  const inRegion = ofRegion(based, region_name, chosen)
  const overruled = isMapping(based['auth']) ? based['auth'] : {}
  const used = Object.keys(given).filter((field) => !ofEntryFirst.has(field) || overruled[field] === undefined).map(variable).toSorted()
  return {
    name: chosen,
    source: sourceOf(chosen, files) + (used.length > 0 ? `, with ${used.join(', ')} of the environment` : ''),
    entry: finished({ ...inRegion, ...options }, chosen, edges),
  }
}

interface Files {
  readonly path: string | undefined
  readonly securePath: string | undefined
  readonly clouds: Mapping
  readonly secureClouds: Mapping
  readonly lookedAt: readonly string[]
}

function readFiles(edges: ClientEdges): Files {
  const lookedAt = searchPath('clouds', edges.env['OS_CLIENT_CONFIG_FILE'], edges)
  const file = firstFile(lookedAt, edges)
  const secure = firstFile(searchPath('secure', edges.env['OS_CLIENT_SECURE_FILE'], edges), edges)
  const secureClouds = secure ? cloudsOf(secure) : {}
  return { path: file?.path ?? secure?.path, securePath: secure?.path, clouds: merged(file ? cloudsOf(file) : {}, secureClouds), secureClouds, lookedAt }
}

function cloudsOf({ path, content }: ClientFile): Mapping {
  const clouds = content['clouds'] ?? {}
  if (!isMapping(clouds)) throw new ScheduledImagesError('CREDENTIALS_INVALID', `"clouds" of ${path} must be a mapping of the clouds by their names.`)
  return clouds
}

function sourceOf(name: string, { path, securePath, secureClouds }: Files): string {
  return `entry ${name} of ${path}${Object.hasOwn(secureClouds, name) && securePath !== path ? ` and ${securePath}` : ''}`
}

function chosenName(edges: ClientEdges, { clouds, path, lookedAt }: Files): string {
  const named = edges.env['OS_CLOUD']
  if (named) return named
  if (hasVariables(edges)) return variablesName(edges)
  const names = Object.keys(clouds)
  const [only] = names
  if (only === undefined) {
    const where = path === undefined ? `There is no clouds.yaml in ${folders(lookedAt)}` : `${path} has no clouds`
    throw new ScheduledImagesError('CREDENTIALS_MISSING', `${where}, and OS_CLOUD, OS_AUTH_URL and the other OS_ variables are not set. Make a clouds.yaml, or set OS_CLIENT_CONFIG_FILE to one.`)
  }
  if (Object.hasOwn(clouds, 'default')) return 'default'
  if (names.length > 1) throw new ScheduledImagesError('CREDENTIALS_MISSING', `${path} has several clouds and none is chosen; set OS_CLOUD to one of ${names.join(', ')}.`)
  return only
}

function unknownCloud(name: string, { clouds, path, lookedAt }: Files, edges: ClientEdges): ScheduledImagesError {
  const names = Object.keys(clouds)
  const there = names.length > 0 ? `; its clouds are ${names.join(', ')}` : ''
  const where = path === undefined ? `there is no clouds.yaml in ${folders(lookedAt)}` : `${path} has no such entry${there}`
  const fix = path === undefined && hasVariables(edges) ? ' Unset OS_CLOUD to use the OS_ variables alone.' : ''
  return new ScheduledImagesError('CREDENTIALS_MISSING', `Cloud "${name}" was not found: ${where}.${fix}`)
}

function folders(files: readonly string[]): string {
  return [...new Set(files.map((file) => (/\/clouds\.(yaml|yml|json)$/.test(file) ? file.replace(/[^/]*$/, '') : file)))].join(', ')
}

const variablesSource = 'the OS_ variables of the environment'

/** The name that the variables go by when they are a cloud of their own. */
function variablesName({ env }: ClientEdges): string {
  return env['OS_CLOUD_NAME'] || 'envvars'
}

function hasVariables(edges: ClientEdges): boolean {
  const given = variablesOf(edges)
  return authFields.some((field) => given[field] !== undefined)
}

function variablesOf({ env }: ClientEdges): Mapping {
  const given = Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (key.startsWith('OS_') && value ? [[key.slice(3).toLowerCase(), value]] : [])))
  for (const [field, tenant] of Object.entries(tenants)) {
    given[field] ??= given[tenant] ?? ''
    delete given[tenant]
    if (!given[field]) delete given[field]
  }
  return given
}

function fromVariables(edges: ClientEdges, unasked: boolean): ClientCloud {
  const given = variablesOf(edges)
  const name = variablesName(edges)
  const byApplication = given['auth_type'] === 'v3applicationcredential' || given['application_credential_id'] !== undefined || given['application_credential_name'] !== undefined
  const needed = byApplication
    ? [['application_credential_id', 'application_credential_name'], ['application_credential_secret']]
    : [['username', 'user_id'], ['password']]
  const missing = [['auth_url'], ...needed].filter((either) => either.every((field) => given[field] === undefined)).map(([field]) => variable(field!))
  if (missing.length > 0) {
    const there = unasked ? 'there are OS_ variables and no OS_CLOUD, so they must say everything' : 'the OS_ variables must say everything'
    throw new ScheduledImagesError('CREDENTIALS_MISSING', `Cloud "${name}" is not complete: ${there}; ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing.`)
  }
  return { name, source: variablesSource, entry: finished(ofRegion(given, given['region_name'], name), name, edges) }
}

function variable(field: string): string {
  return `OS_${field.toUpperCase()}`
}

/** The entry, with what its `profile` says in clouds-public.yaml below it. */
function onProfile(cloud: string, own: Mapping, edges: ClientEdges): Mapping {
  const profile = own['profile'] ?? own['cloud']
  if (profile === undefined) return own
  const file = firstFile(searchPath('clouds-public', undefined, edges), edges)
  const profiles = file?.content['public-clouds']
  const found = isMapping(profiles) ? profiles[String(profile)] : undefined
  if (isMapping(found)) {
    const { regions, ...rest } = withUnderscores(found)
    return updated({ ...rest, ...(own['region_name'] === undefined && regions !== undefined && { regions }) }, own)
  }
  if (isMapping(own['auth']) && own['auth']['auth_url'] !== undefined) return own
  throw new ScheduledImagesError(
    'CREDENTIALS_INVALID',
    `Cloud "${cloud}" has a "profile" that ${file ? `${file.path} does not have` : 'no clouds-public.yaml has'}; write the cloud's "auth.auth_url" and "region_name" into its entry instead.`,
  )
}

/** The entry in one of its regions: the one that is asked for, or the first. */
function ofRegion(entry: Mapping, asked: unknown, cloud: string): Mapping {
  const { regions, region_name, ...rest } = entry
  const list = regions ?? (typeof region_name === 'string' ? region_name.split(',') : region_name)
  const known = (Array.isArray(list) ? list : list === undefined || list === null || list === '' ? [] : [list]).map((region: unknown) =>
    isMapping(region) ? { name: String(region['name']), values: isMapping(region['values']) ? withUnderscores(region['values']) : {} } : { name: String(region), values: {} },
  )
  const region = asked === undefined ? known[0] : known.find(({ name }) => name === asked)
  if (asked !== undefined && known.length > 0 && !region) {
    throw new ScheduledImagesError('CLOUD_REGION_UNKNOWN', `OS_REGION_NAME is none of the regions of cloud "${cloud}", which are ${known.map(({ name }) => name).join(', ')}.`)
  }
  const name = region?.name ?? asked
  return name === undefined ? rest : { ...updated(rest, region?.values ?? {}), region_name: name }
}

/** Brings everything to where `parseCloudConfig` expects it, and leaves out what it does not know. */
function finished(merged: Mapping, cloud: string, edges: ClientEdges): Mapping {
  const own = isMapping(merged['auth']) ? merged['auth'] : {}
  const auth: Record<string, unknown> = {}
  for (const field of authFields.filter((field) => !Object.values(tenants).includes(field))) {
    const [top, below] = [merged[field], own[field]]
    const tenant = tenants[field]
    const value = ofEntryFirst.has(field) ? (below ?? top ?? (tenant && (own[tenant] ?? merged[tenant]))) : (top ?? below)
    if (value !== undefined && value !== null && value !== '') auth[field] = value
  }
  if (auth['project_id'] !== undefined || auth['project_name'] !== undefined) {
    for (const kind of ['id', 'name']) {
      const both = auth[`domain_${kind}`]
      delete auth[`domain_${kind}`]
      if (both === undefined) continue
      auth[`user_domain_${kind}`] ??= both
      auth[`project_domain_${kind}`] ??= both
    }
  }
  if (typeof auth['auth_url'] === 'string') auth['auth_url'] = auth['auth_url'].replaceAll(/\{(\w+)\}/g, (whole, key: string) => (typeof merged[key] === 'string' ? merged[key] : whole))
  const insecure = String(merged['insecure']).toLowerCase() === 'true'
  const verify = insecure ? false : merged['verify']
  const { cacert, ...rest } = pick({ ...merged, auth_type: merged['auth_type'] ?? merged['auth_plugin'], interface: merged['endpoint_type'] ?? merged['interface'] }, entryFields)
  return {
    ...rest,
    auth,
    ...(verify !== undefined && { verify }),
    // Without verification nobody looks at it.
    ...(cacert !== undefined && String(verify).toLowerCase() !== 'false' && { cacert: certificates(String(cacert), cloud, edges) }),
  }
}

/** The PEM text itself, or that of the file that is named. */
function certificates(cacert: string, cloud: string, { readFile, home, cwd }: ClientEdges): string {
  const isPem = (text: string): boolean => text.includes('-----BEGIN CERTIFICATE-----')
  if (isPem(cacert)) return cacert
  const text = readFile(inFolder(cacert.replace(/^~(?=\/|$)/, home), cwd))
  if (text !== undefined && isPem(text)) return text
  const fault = text === undefined ? 'a file that cannot be read; a relative path is taken from the working directory' : 'a file that has no PEM certificate'
  throw new ScheduledImagesError('CREDENTIALS_INVALID', `"cacert" of cloud "${cloud}" (or OS_CACERT) names ${fault}.`)
}

function pick(entry: Mapping, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(fields.flatMap((field) => (entry[field] === undefined || entry[field] === null ? [] : [[field, entry[field]]])))
}

/** `above` wins, field by field within `auth`. */
function updated(below: Mapping, above: Mapping): Mapping {
  return { ...below, ...above, ...(isMapping(below['auth']) && isMapping(above['auth']) && { auth: { ...below['auth'], ...above['auth'] } }) }
}

/** `above` wins, at any depth. */
function merged(below: Mapping, above: Mapping): Mapping {
  const entries = Object.entries(above).map(([key, value]) => {
    const old = below[key]
    return [key, isMapping(value) && isMapping(old) ? merged(old, value) : value]
  })
  return { ...below, ...(Object.fromEntries(entries) as Mapping) }
}

function withUnderscores(value: Mapping): Mapping {
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key.replaceAll('-', '_'), isMapping(inner) ? withUnderscores(inner) : typeof inner === 'bigint' ? String(inner) : inner]),
  )
}
