import { expect, test } from 'vitest'
import { parseCloudConfig } from '../../lib/openstack/config.ts'

const appCredential = `
auth_type: v3applicationcredential
auth:
  auth_url: https://keystone.example.com:5000
  application_credential_id: 21dced0fd20347869b93710d2b98aae0
  application_credential_secret: s3cret
`
const password = `
auth:
  auth_url: https://keystone.example.com/identity/v3/
  username: alice
  password: s3cret
  project_name: alpha
  user_domain_name: Default
  project_domain_id: default
region_name: RegionOne
`

test('an application credential, with every default', () => {
  expect(parseCloudConfig(appCredential, 'default')).toEqual({
    authUrl: 'https://keystone.example.com:5000/v3',
    credentials: { kind: 'application credential', secret: 's3cret', application: { id: '21dced0fd20347869b93710d2b98aae0' } },
    region: undefined, interface: 'public', verify: true, cacert: undefined, overrides: {}, maxInFlight: 10, maxInFlightPerHost: 5,
  })
})

test('a password, with its domains', () => {
  expect(parseCloudConfig(password, 'default')).toMatchObject({
    authUrl: 'https://keystone.example.com/identity/v3',
    region: 'RegionOne',
    credentials: {
      kind: 'password', password: 's3cret', user: { name: 'alice', domain: { name: 'Default' } }, project: { name: 'alpha', domain: { id: 'default' } },
    },
  })
})

test('everything else that an entry may hold', () => {
  const entry = `${appCredential}
interface: internalURL
verify: false
cacert: |
  -----BEGIN CERTIFICATE-----
  MIIB
  -----END CERTIFICATE-----
image_endpoint_override: https://glance.example.com
volumev3_endpoint_override: https://cinder.example.com/v3
max_in_flight: '25'
max_in_flight_per_host: 12
`
  expect(parseCloudConfig(entry, 'default')).toMatchObject({
    interface: 'internal', verify: false, cacert: expect.stringContaining('MIIB') as unknown, maxInFlight: 25, maxInFlightPerHost: 12,
    overrides: { image: 'https://glance.example.com', 'block-storage': 'https://cinder.example.com/v3' },
  })
})

test('a password of digits keeps them all', () => {
  const entry = 'auth: { auth_url: "http://k/v3", username: 7, password: 12345678901234567890, project_id: 42 }'
  expect(parseCloudConfig(entry, 'default').credentials).toMatchObject({ password: '12345678901234567890', user: { name: '7' }, project: { id: '42' } })
})

test('JSON is YAML, and a name without a domain is of the default one', () => {
  const entry = { auth: { auth_url: 'http://k/v3', username: 'alice', password: 'p', project_name: 'alpha' } }
  expect(parseCloudConfig(JSON.stringify(entry), 'default').credentials).toMatchObject({
    user: { domain: { id: 'default' } }, project: { domain: { id: 'default' } },
  })
})

test.each<[sentence: string, source: string, problem: string]>([
  ['nothing', '', 'it must be a mapping: what stands under clouds.<name> in a clouds.yaml.'],
  ['no auth', 'region_name: RegionOne', '"auth" must be a mapping with auth_url and the credentials.'],
  ['an auth_url that is none', 'auth: { auth_url: keystone, username: a, password: s3cret }', '"auth.auth_url" must be Keystone\'s URL, such as https://keystone.example.com:5000/v3.'],
  ['an auth_type that is not for us', `${appCredential}auth_type2: x`.replace('v3applicationcredential', 'v3kerberos'), '"auth_type" must be one of password, v3password, v3applicationcredential, or left out.'],
  ['no credentials at all', 'auth: { auth_url: "http://k/v3" }', '"auth.application_credential_id" and "auth.application_credential_secret" are missing, and so are "auth.username" and "auth.password".'],
  ['no password', 'auth: { auth_url: "http://k/v3", username: alice }', '"auth.password" is missing.'],
  ['a name of a credential without its user', 'auth: { auth_url: "http://k/v3", application_credential_name: x, application_credential_secret: s3cret }', '"auth.application_credential_name" needs its user as well: add "auth.username" and "auth.user_domain_name", or give "auth.application_credential_id" instead.'],
  ['a path in place of a certificate', `${appCredential}cacert: /etc/ssl/ca.pem`, '"cacert" must be the PEM text of the certificates themselves, not a path.'],
  ['too many in flight', `${appCredential}max_in_flight: 5000`, '"max_in_flight" must be a whole number from 1 to 1000.'],
  ['none in flight on a host', `${appCredential}max_in_flight_per_host: 0`, '"max_in_flight_per_host" must be a whole number from 1 to 1000.'],
])('%s', (_sentence, source, problem) => {
  expect(() => parseCloudConfig(source, 'default')).toThrow(expect.objectContaining({
    code: 'CLOUD_PARAMETER_INVALID', message: `The parameter of cloud "default" is not usable: ${problem}`,
  }))
})

test('no value of a parameter is ever shown, whatever is wrong with it', () => {
  const broken = [appCredential.replace('https://keystone', 's3cret'), '{ "auth": "s3cret"', 'auth: s3cret', `${appCredential}interface: s3cret`, `${appCredential}verify: s3cret`]
  for (const source of broken) {
    expect(() => parseCloudConfig(source, 'default')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cret') as unknown }))
  }
})
