import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findCloud, type ClientCloud } from '../../lib/openstack/client-config.ts'
import { readClientFile } from '../../lib/openstack/client-files.ts'
import { parseCloudConfig, type CloudConfig } from '../../lib/openstack/config.ts'

const python = '/usr/bin/python3'

/** Prints what python-openstackclient itself makes of each row: what it would log in with. The search path is made at the import, so each row has a process. */
const client = `
import importlib, json, os, sys, warnings
warnings.simplefilter('ignore')
import openstack.config.loader as loader, openstack.config as config, osc_lib.cli.client_config as client_config
import openstackclient.shell as shell
for row in json.load(sys.stdin):
    sys.stdout.flush()
    if os.fork():
        os.wait()
        continue
    os.environ.clear(); os.environ.update(row['env']); os.chdir(row['cwd'])
    for module in (loader, config, client_config):
        importlib.reload(module)
    try:
        app = shell.OpenStackShell()
        app.options = app.parser.parse_args([])
        app._final_defaults()
        cloud = client_config.OSC_Config(override_defaults={'interface': None, 'auth_type': app._auth_type}).get_one(cloud=app.options.cloud or None, argparse=app.options)
        verify = cloud.get_requests_verify_args()[0]
        print(json.dumps({'name': cloud.name, 'region': cloud.region_name or None, 'interface': cloud.config.get('interface'), 'verify': verify, 'auth': cloud.config['auth'], 'auth_type': cloud.config['auth_type']}))
    except Exception as error:
        print(json.dumps({'error': type(error).__name__}))
    sys.stdout.flush()
    os._exit(0)
`
const installed = spawnSync(python, ['-c', 'import openstackclient.shell'], { timeout: 60_000 }).status === 0

const alpha = '{ auth: { auth_url: "http://k:5000/v3", username: alice, password: s3cret, project_name: alpha, user_domain_name: Default, project_domain_name: D2 }, region_name: RegionOne }'
const two = `clouds: { alpha: ${alpha}, beta: ${alpha.replace('alpha', 'beta')} }`
const variables = { OS_AUTH_URL: 'http://k:5000/v3', OS_USERNAME: 'eve', OS_PASSWORD: 'p', OS_PROJECT_NAME: 'gamma', OS_USER_DOMAIN_NAME: 'UD', OS_PROJECT_DOMAIN_NAME: 'PD' }
const application = { OS_AUTH_URL: 'http://k:5000/v3', OS_AUTH_TYPE: 'v3applicationcredential', OS_APPLICATION_CREDENTIAL_ID: '1', OS_APPLICATION_CREDENTIAL_SECRET: 's' }
const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'

/** `HOME` and `CWD` in a variable or a file stand for the row's folders. */
const rows: readonly [sentence: string, files: Record<string, string>, env: Record<string, string>][] = [
  ['the working directory comes before the home directory', { 'cwd/clouds.yaml': two, 'home/.config/openstack/clouds.yaml': `clouds: { alpha: {} }` }, { OS_CLOUD: 'alpha' }],
  ['the home directory', { 'home/.config/openstack/clouds.yml': two }, { OS_CLOUD: 'beta' }],
  ['OS_CLIENT_CONFIG_FILE', { 'home/my.yaml': two, 'cwd/clouds.yaml': `clouds: { alpha: {} }` }, { OS_CLOUD: 'beta', OS_CLIENT_CONFIG_FILE: 'HOME/my.yaml' }],
  ['OS_CLIENT_CONFIG_FILE that does not exist', { 'cwd/clouds.yaml': two }, { OS_CLOUD: 'beta', OS_CLIENT_CONFIG_FILE: 'HOME/my.yaml' }],
  ['the only entry', { 'cwd/clouds.yaml': `clouds: { alpha: ${alpha} }` }, {}],
  ['secure.yaml', { 'cwd/clouds.yaml': two, 'home/.config/openstack/secure.yaml': 'clouds: { alpha: { auth: { password: other } } }' }, { OS_CLOUD: 'alpha' }],
  ['variables alone', {}, variables],
  ['variables alone, beside a file', { 'cwd/clouds.yaml': two }, { ...variables, OS_REGION_NAME: 'R9', OS_INTERFACE: 'internal', OS_INSECURE: 'true' }],
  ['an application credential in variables', {}, application],
  ['variables win over an entry, but not for its project', { 'cwd/clouds.yaml': two }, { ...variables, OS_CLOUD: 'alpha', OS_INTERFACE: 'admin', OS_REGION_NAME: 'RegionOne', OS_INSECURE: 'true' }],
  ['a project of variables, where the entry has none', { 'cwd/clouds.yaml': two.replace('project_name: alpha, ', '') }, { OS_CLOUD: 'alpha', OS_TENANT_NAME: 'gamma' }],
  ['a region that the entry does not have', { 'cwd/clouds.yaml': two }, { OS_CLOUD: 'alpha', OS_REGION_NAME: 'RegionNine' }],
  ['an entry that does not exist', { 'cwd/clouds.yaml': two }, { OS_CLOUD: 'gamma' }],
  ['the first of several regions', { 'cwd/clouds.yaml': `clouds: { a: { regions: [R1, R2], auth: { auth_url: "http://k/v3", username: u, password: p, project_name: n } } }` }, { OS_CLOUD: 'a' }],
  ['one of several regions', { 'cwd/clouds.yaml': `clouds: { a: { regions: [R1, { name: R2, values: { interface: admin, auth: { username: v } } }], auth: { auth_url: "http://{region_name}/v3", username: u, password: p, project_name: n } } }` }, { OS_CLOUD: 'a', OS_REGION_NAME: 'R2' }],
  ['one domain for both, and old names', { 'cwd/clouds.yaml': 'clouds: { a: { endpoint_type: internal, username: top, auth: { auth-url: "http://k/v3", password: 0123, tenant_name: 12e3, domain_name: D } } }' }, { OS_CLOUD: 'a' }],
  ['a profile', { 'cwd/clouds.yaml': 'clouds: { a: { profile: big, auth: { username: u, password: p, project_id: 7 } } }', 'cwd/clouds-public.yaml': 'public-clouds: { big: { region_name: RB, interface: internal, auth: { auth_url: "http://big/v3" } } }' }, { OS_CLOUD: 'a' }],
  ['no verification', { 'cwd/clouds.yaml': `clouds: { a: { insecure: 'True', auth: { auth_url: "http://k/v3", username: u, password: p, project_id: 7 } } }` }, { OS_CLOUD: 'a' }],
  ['verify: no', { 'cwd/clouds.yaml': `clouds: { a: { verify: no, auth: { auth_url: "http://k/v3", username: u, password: p, project_id: 7 } } }` }, { OS_CLOUD: 'a' }],
  ['a cacert', { 'cwd/clouds.yaml': `clouds: { a: { cacert: ~/ca.pem, auth: { auth_url: "http://k/v3", username: u, password: p, project_id: 7 } } }`, 'home/ca.pem': pem }, { OS_CLOUD: 'a' }],
  ['an application credential in an entry', { 'cwd/clouds.yaml': 'clouds: { a: { auth_type: v3applicationcredential, auth: { auth_url: "http://k/v3", application_credential_id: i, application_credential_secret: s } } }' }, { OS_CLOUD: 'a' }],
]

const folder = mkdtempSync(join(tmpdir(), 'client-config-'))
const placed = rows.map(([, files, env], index) => {
  const [home, cwd] = [join(folder, String(index), 'home'), join(folder, String(index), 'cwd')]
  for (const path of [home, cwd]) mkdirSync(path, { recursive: true })
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, String(index), path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  return { home, cwd, env: { HOME: home, ...Object.fromEntries(Object.entries(env).map(([key, value]) => [key, value.replace('HOME', home)])) } }
})
const theirs = installed
  ? spawnSync(python, ['-c', client], { input: JSON.stringify(placed), encoding: 'utf8', timeout: 120_000 }).stdout.trim().split('\n').map((line) => JSON.parse(line) as Theirs)
  : []
afterAll(() => rmSync(folder, { recursive: true }))

interface Theirs {
  readonly error?: string
  readonly name: string
  readonly region: string | null
  readonly interface: string | null
  readonly verify: boolean | string
  readonly auth: Readonly<Record<string, string>>
  readonly auth_type: string
}

test.skipIf(!installed).each(rows.map(([sentence], index) => [sentence, index] as const))('as python-openstackclient finds it: %s', (_sentence, index) => {
  const { home, cwd, env } = placed[index]!
  const find = (): ClientCloud => findCloud({ env, readFile: readClientFile, home, cwd })
  const expected = theirs[index]!
  if (expected.error !== undefined) {
    expect(expected.error).toBe('ConfigException')
    expect(find).toThrow()
    return
  }
  const found = find()
  const config = parseCloudConfig(JSON.stringify(found.entry), found.name)
  expect({ name: found.name, region: config.region ?? null, interface: config.interface, verify: config.verify, hasCacert: config.cacert !== undefined }).toEqual({
    name: expected.name, region: expected.region, interface: expected.interface ?? 'public', verify: expected.verify !== false, hasCacert: typeof expected.verify === 'string',
  })
  expect(loginOf(config)).toEqual(theirLogin(expected))
})

function loginOf({ authUrl, credentials }: CloudConfig): object {
  return { authUrl, credentials }
}

/** In our own words. */
function theirLogin({ auth, auth_type }: Theirs): object {
  const domain = (id: string | undefined, name: string | undefined) => (id ? { id } : name ? { name } : { id: 'default' })
  const credentials: CloudConfig['credentials'] =
    auth_type === 'v3applicationcredential'
      ? { kind: 'application credential', secret: auth['application_credential_secret']!, application: { id: auth['application_credential_id']! } }
      : {
          kind: 'password',
          password: auth['password']!,
          user: { name: auth['username']!, domain: domain(auth['user_domain_id'], auth['user_domain_name']) },
          project: auth['project_id'] ? { id: auth['project_id'] } : { name: auth['project_name']!, domain: domain(auth['project_domain_id'], auth['project_domain_name']) },
        }
  return { authUrl: auth['auth_url'], credentials }
}
