import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findCloud, listClouds } from '../../lib/openstack/client-config.ts'
import { readClientFile } from '../../lib/openstack/client-files.ts'
import { parseCloudConfig } from '../../lib/openstack/config.ts'

type Files = Record<string, string>
type Env = Record<string, string>

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const alpha = '{ auth: { auth_url: "http://k:5000/v3", username: alice, password: s3cret, project_name: alpha, user_domain_name: Default }, region_name: RegionOne }'
const beta = alpha.replaceAll('alpha', 'beta')
const one = `clouds: { alpha: ${alpha} }`
const two = `clouds: { alpha: ${alpha}, beta: ${beta} }`
const etc = '/etc/openstack/clouds.yaml'
const alone = { OS_AUTH_URL: 'http://k:5000/v3', OS_USERNAME: 'alice', OS_PASSWORD: 's3cret', OS_PROJECT_NAME: 'gamma' }

function edges(files: Files, env: Env = {}): Parameters<typeof findCloud>[0] {
  return { env, readFile: (path) => files[path], home: '/home/ann', cwd: '/project' }
}

test.each<[sentence: string, files: Files, env: Env, name: string | undefined, found: { name: string; source: string; entry: object }]>([
  ['the only entry, when none is named', { [etc]: one }, {}, undefined, { name: 'alpha', source: `entry alpha of ${etc}`, entry: { auth: { project_name: 'alpha' } } }],
  ['the entry that OS_CLOUD names', { [etc]: two }, { OS_CLOUD: 'beta' }, undefined, { name: 'beta', source: `entry beta of ${etc}`, entry: { auth: { project_name: 'beta' } } }],
  ['a name wins over OS_CLOUD', { [etc]: two }, { OS_CLOUD: 'beta' }, 'alpha', { name: 'alpha', source: `entry alpha of ${etc}`, entry: {} }],
  ['the entry that is called default, of several', { [etc]: `clouds: { alpha: ${alpha}, default: ${beta} }` }, {}, 'default', { name: 'default', source: `entry default of ${etc}`, entry: {} }],
  ['but OS_CLOUD wins over it', { [etc]: `clouds: { alpha: ${alpha}, default: ${beta} }` }, { OS_CLOUD: 'alpha' }, 'default', { name: 'alpha', source: `entry alpha of ${etc}`, entry: {} }],
  ['default is what is found without a name', { [etc]: two }, { OS_CLOUD: 'alpha' }, 'default', { name: 'alpha', source: `entry alpha of ${etc}`, entry: {} }],
  ['the working directory comes first', { '/project/clouds.yaml': one, [etc]: two, '/home/ann/.config/openstack/clouds.yaml': two }, {}, undefined, { name: 'alpha', source: 'entry alpha of /project/clouds.yaml', entry: {} }],
  ['the home directory comes before /etc', { '/home/ann/.config/openstack/clouds.yaml': one, [etc]: two }, {}, undefined, { name: 'alpha', source: 'entry alpha of /home/ann/.config/openstack/clouds.yaml', entry: {} }],
  ['XDG_CONFIG_HOME comes before the home directory', { '/xdg/openstack/clouds.yml': one, '/home/ann/.config/openstack/clouds.yaml': two }, { XDG_CONFIG_HOME: '/xdg' }, undefined, { name: 'alpha', source: 'entry alpha of /xdg/openstack/clouds.yml', entry: {} }],
  ['OS_CLIENT_CONFIG_FILE comes before all', { '/project/my.json': JSON.stringify({ clouds: { mine: {} } }), '/project/clouds.yaml': one }, { OS_CLIENT_CONFIG_FILE: 'my.json' }, undefined, { name: 'mine', source: 'entry mine of /project/my.json', entry: {} }],
  ['one that does not exist is passed over', { [etc]: one }, { OS_CLIENT_CONFIG_FILE: '/nowhere.yaml' }, undefined, { name: 'alpha', source: `entry alpha of ${etc}`, entry: {} }],
  [
    'secure.yaml has the password', { [etc]: 'clouds: { alpha: { auth: { username: alice } } }', '/etc/openstack/secure.yaml': 'clouds: { alpha: { auth: { password: s3cret } } }' }, {}, undefined,
    { name: 'alpha', source: `entry alpha of ${etc} and /etc/openstack/secure.yaml`, entry: { auth: { username: 'alice', password: 's3cret' } } },
  ],
  ['OS_CLIENT_SECURE_FILE names it', { [etc]: one, '/s.yaml': 'clouds: { alpha: { auth: { password: other } } }' }, { OS_CLIENT_SECURE_FILE: '/s.yaml' }, undefined, { name: 'alpha', source: `entry alpha of ${etc} and /s.yaml`, entry: { auth: { username: 'alice', password: 'other' } } }],
  ['the variables alone', {}, { ...alone, OS_REGION_NAME: 'R', OS_ENDPOINT_TYPE: 'internalURL', OS_INSECURE: 'True' }, undefined, { name: 'envvars', source: 'the OS_ variables of the environment', entry: { auth: { auth_url: 'http://k:5000/v3', username: 'alice', password: 's3cret', project_name: 'gamma' }, region_name: 'R', interface: 'internalURL', verify: false } }],
  ['the variables win over a file in which nothing is chosen', { [etc]: two }, alone, undefined, { name: 'envvars', source: 'the OS_ variables of the environment', entry: { auth: { project_name: 'gamma' } } }],
  ['OS_CLOUD_NAME names them', {}, { ...alone, OS_CLOUD_NAME: 'shell' }, undefined, { name: 'shell', source: 'the OS_ variables of the environment', entry: {} }],
  ['an application credential in the variables', {}, { OS_AUTH_URL: 'http://k', OS_AUTH_TYPE: 'v3applicationcredential', OS_APPLICATION_CREDENTIAL_ID: '1', OS_APPLICATION_CREDENTIAL_SECRET: 's3cret' }, undefined, { name: 'envvars', source: 'the OS_ variables of the environment', entry: { auth_type: 'v3applicationcredential', auth: { application_credential_id: '1', application_credential_secret: 's3cret' } } }],
  ['OS_TENANT_NAME is a project', {}, { OS_AUTH_URL: 'http://k', OS_USERNAME: 'u', OS_PASSWORD: 'p', OS_TENANT_NAME: 't' }, undefined, { name: 'envvars', source: 'the OS_ variables of the environment', entry: { auth: { project_name: 't' } } }],
  ['a variable wins over its entry', { [etc]: one }, { OS_CLOUD: 'alpha', OS_USERNAME: 'bob', OS_PASSWORD: 'other', OS_INTERFACE: 'admin' }, undefined, { name: 'alpha', source: `entry alpha of ${etc}, with OS_INTERFACE, OS_PASSWORD, OS_USERNAME of the environment`, entry: { auth: { username: 'bob', password: 'other' }, interface: 'admin' } }],
  ['but not for the project', { [etc]: one }, { OS_CLOUD: 'alpha', OS_PROJECT_NAME: 'beta' }, undefined, { name: 'alpha', source: `entry alpha of ${etc}`, entry: { auth: { project_name: 'alpha' } } }],
  ['OS_INSECURE does not count beside an entry', { [etc]: one.replace('alpha: {', 'alpha: { verify: true,') }, { OS_CLOUD: 'alpha', OS_INSECURE: 'true' }, undefined, { name: 'alpha', source: `entry alpha of ${etc}`, entry: { verify: true } }],
  ['variables without credentials are no cloud', { [etc]: one }, { OS_IDENTITY_API_VERSION: '3' }, undefined, { name: 'alpha', source: `entry alpha of ${etc}`, entry: {} }],
  ['the first of several regions', { [etc]: 'clouds: { a: { regions: [R1, R2], auth: {} } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { region_name: 'R1' } }],
  ['OS_REGION_NAME chooses one, with what it says', { [etc]: 'clouds: { a: { regions: [R1, { name: R2, values: { interface: admin, auth: { username: two } } }], auth: { username: one } } }' }, { OS_REGION_NAME: 'R2' }, undefined, { name: 'a', source: `entry a of ${etc}, with OS_REGION_NAME of the environment`, entry: { region_name: 'R2', interface: 'admin', auth: { username: 'two' } } }],
  ['a domain for both', { [etc]: 'clouds: { a: { auth: { project-name: p, domain_name: D } } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { auth: { project_name: 'p', user_domain_name: 'D', project_domain_name: 'D' } } }],
  ['credentials beside auth', { [etc]: 'clouds: { a: { username: u, auth: { password: p } } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { auth: { username: 'u', password: 'p' } } }],
  ['a profile of clouds-public.yaml', { [etc]: 'clouds: { a: { profile: big, region_name: R2, auth: { username: u } } }', '/etc/openstack/clouds-public.yaml': 'public-clouds: { big: { regions: [R1, R2], auth: { auth_url: "https://{region_name}.big" } } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { region_name: 'R2', auth: { auth_url: 'https://R2.big', username: 'u' } } }],
  ['a password of digits keeps them all', { [etc]: 'clouds: { a: { auth: { password: 12345678901234567890 } } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { auth: { password: '12345678901234567890' } } }],
  ['YAML as Python reads it', { [etc]: 'base: &base { username: n }\nclouds: { a: { verify: no, auth: { <<: *base, password: 12e3 } } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { verify: false, auth: { username: 'n', password: '12e3' } } }],
  ['insecure is no verification', { [etc]: 'clouds: { a: { insecure: true, cacert: /nowhere, auth: {} } }' }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { verify: false } }],
  ['cacert is read from its file', { [etc]: 'clouds: { a: { cacert: ~/ca.pem, auth: {} } }', '/home/ann/ca.pem': pem }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { cacert: pem } }],
  ['OS_CACERT is taken from the working directory', { [etc]: one, '/project/ca.pem': pem }, { OS_CACERT: 'ca.pem' }, undefined, { name: 'alpha', source: `entry alpha of ${etc}, with OS_CACERT of the environment`, entry: { cacert: pem } }],
  ['cacert that is the text already', { [etc]: JSON.stringify({ clouds: { a: { cacert: pem, auth: {} } } }) }, {}, undefined, { name: 'a', source: `entry a of ${etc}`, entry: { cacert: pem } }],
])('%s', (_sentence, files, env, name, found) => {
  expect(findCloud(edges(files, env), name)).toMatchObject(found)
})

test('what is found is an entry that can be used, and holds nothing else', () => {
  const files = { [etc]: 'clouds: { a: { profile: x, networks: [1], compute_api_version: 2, compute_endpoint_override: "http://n", max_in_flight: 3, auth: { auth_url: "http://k", username: u, password: 1, token: t } } }' }
  const { entry } = findCloud(edges(files))
  expect(entry).toEqual({ auth: { auth_url: 'http://k', username: 'u', password: '1' }, compute_endpoint_override: 'http://n', max_in_flight: '3' })
  expect(parseCloudConfig(JSON.stringify(entry), 'a')).toMatchObject({ authUrl: 'http://k/v3', overrides: { compute: 'http://n' }, maxInFlight: 3, credentials: { password: '1' } })
})

const searched = '/project/, /home/ann/.config/openstack/, /etc/xdg/openstack/, /etc/openstack/'
test.each<[sentence: string, files: Files, env: Env, name: string | undefined, code: string, message: string]>([
  ['nothing anywhere', {}, {}, undefined, 'CREDENTIALS_MISSING', `There is no clouds.yaml in ${searched}, and OS_CLOUD, OS_AUTH_URL and the other OS_ variables are not set. Make a clouds.yaml, or set OS_CLIENT_CONFIG_FILE to one.`],
  ['a file that is not there', {}, { OS_CLIENT_CONFIG_FILE: '/my.yaml' }, undefined, 'CREDENTIALS_MISSING', `There is no clouds.yaml in /my.yaml, ${searched}, and OS_CLOUD, OS_AUTH_URL and the other OS_ variables are not set. Make a clouds.yaml, or set OS_CLIENT_CONFIG_FILE to one.`],
  ['a file without clouds', { [etc]: '' }, {}, undefined, 'CREDENTIALS_MISSING', `${etc} has no clouds, and OS_CLOUD, OS_AUTH_URL and the other OS_ variables are not set. Make a clouds.yaml, or set OS_CLIENT_CONFIG_FILE to one.`],
  ['several, and none is named', { [etc]: two }, {}, undefined, 'CREDENTIALS_MISSING', `${etc} has several clouds and none is chosen; set OS_CLOUD to one of alpha, beta.`],
  ['a name that is not there', { [etc]: two }, { OS_CLOUD: 'alhpa' }, undefined, 'CREDENTIALS_MISSING', `Cloud "alhpa" was not found: ${etc} has no such entry; its clouds are alpha, beta.`],
  ['a name of the language', { [etc]: one }, { OS_CLOUD: 'constructor' }, undefined, 'CREDENTIALS_MISSING', `Cloud "constructor" was not found: ${etc} has no such entry; its clouds are alpha.`],
  ['OS_CLOUD without a file', {}, { ...alone, OS_CLOUD: 'alpha' }, undefined, 'CREDENTIALS_MISSING', `Cloud "alpha" was not found: there is no clouds.yaml in ${searched}. Unset OS_CLOUD to use the OS_ variables alone.`],
  ['variables that do not say everything', {}, { OS_USERNAME: 'alice' }, undefined, 'CREDENTIALS_MISSING', 'Cloud "envvars" is not complete: there are OS_ variables and no OS_CLOUD, so they must say everything; OS_AUTH_URL and OS_PASSWORD are missing.'],
  ['an application credential without its secret', {}, { OS_AUTH_URL: 'http://k', OS_APPLICATION_CREDENTIAL_ID: 's3cret' }, undefined, 'CREDENTIALS_MISSING', 'Cloud "envvars" is not complete: there are OS_ variables and no OS_CLOUD, so they must say everything; OS_APPLICATION_CREDENTIAL_SECRET is missing.'],
  ['a region that the entry does not have', { [etc]: one }, { OS_CLOUD: 'alpha', OS_REGION_NAME: 's3cret' }, undefined, 'CLOUD_REGION_UNKNOWN', 'OS_REGION_NAME is none of the regions of cloud "alpha", which are RegionOne.'],
  ['no YAML', { [etc]: 'clouds:\n  alpha: {\n  s3cret: [' }, {}, undefined, 'CREDENTIALS_INVALID', `${etc} is not YAML: see its line 3.`],
  ['no mapping', { [etc]: 's3cret' }, {}, undefined, 'CREDENTIALS_INVALID', `${etc} must be a mapping, with the clouds by their names below "clouds".`],
  ['clouds that are none', { [etc]: 'clouds: s3cret' }, {}, undefined, 'CREDENTIALS_INVALID', `"clouds" of ${etc} must be a mapping of the clouds by their names.`],
  ['an entry that is none', { [etc]: 'clouds: { a: s3cret }' }, {}, undefined, 'CREDENTIALS_INVALID', `Cloud "a" of ${etc} must be a mapping with "auth" and the credentials.`],
  ['a profile that is nowhere', { [etc]: 'clouds: { a: { profile: s3cret } }' }, {}, undefined, 'CREDENTIALS_INVALID', 'Cloud "a" has a "profile" that no clouds-public.yaml has; write the cloud\'s "auth.auth_url" and "region_name" into its entry instead.'],
  ['a cacert that is not there', { [etc]: 'clouds: { a: { cacert: s3cret, auth: {} } }' }, {}, undefined, 'CREDENTIALS_INVALID', '"cacert" of cloud "a" (or OS_CACERT) names a file that cannot be read; a relative path is taken from the working directory.'],
  ['a cacert that is none', { [etc]: 'clouds: { a: { cacert: /x, auth: {} } }', '/x': 's3cret' }, {}, undefined, 'CREDENTIALS_INVALID', '"cacert" of cloud "a" (or OS_CACERT) names a file that has no PEM certificate.'],
])('no value is shown: %s', (_sentence, files, env, name, code, message) => {
  expect(() => findCloud(edges(files, env), name)).toThrow(expect.objectContaining({ code, message }))
  expect(message).not.toContain('s3cret')
})

test('all clouds by their names', () => {
  expect(listClouds(edges({ [etc]: two, '/project/secure.yaml': 'clouds: { beta: {} }' }, alone))).toEqual([
    { name: 'alpha', source: `entry alpha of ${etc}` },
    { name: 'beta', source: `entry beta of ${etc} and /project/secure.yaml` },
    { name: 'envvars', source: 'the OS_ variables of the environment' },
  ])
  expect(listClouds(edges({}))).toEqual([])
})

test('a file of the disk is read, and what is none is not there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'client-config-'))
  try {
    writeFileSync(join(folder, 'clouds.yaml'), one)
    expect(findCloud({ env: {}, readFile: readClientFile, home: '/nowhere', cwd: folder })).toMatchObject({ name: 'alpha' })
    expect([folder, join(folder, 'nowhere'), join(folder, 'clouds.yaml', 'x')].map((path) => readClientFile(path))).toEqual([undefined, undefined, undefined])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
