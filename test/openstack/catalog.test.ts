import { describe, expect, test } from 'vitest'
import { endpointOf, type Catalog } from '../../lib/openstack/catalog.ts'
import type { CloudConfig, ServiceName } from '../../lib/openstack/config.ts'

const catalog: Catalog = [
  { type: 'image', endpoints: [at('http://glance-2:9292', 'RegionTwo'), at('http://glance-internal:9292', 'RegionOne', 'internal'), at('http://glance:9292', 'RegionOne')] },
  { type: 'compute', endpoints: [at('http://nova:8774/v2.1', 'RegionOne')] },
  { type: 'volumev3', endpoints: [at('http://cinder:8776/v3/p1', 'RegionOne')] },
]

function at(url: string, region: string | null, kind = 'public'): Catalog[number]['endpoints'][number] {
  return { interface: kind, region_id: region, region, url }
}

function find(service: ServiceName, config: Partial<CloudConfig> = {}, entries = catalog): string {
  return endpointOf(service, entries, { region: 'RegionOne', interface: 'public', overrides: {}, ...config }, 'p1')
}

test('an endpoint is found by type, region and interface, in whatever order they come', () => {
  expect(find('image')).toBe('http://glance:9292/v2')
  expect(find('image', { interface: 'internal' })).toBe('http://glance-internal:9292/v2')
  expect(find('image', { region: 'RegionTwo' })).toBe('http://glance-2:9292/v2')
  expect(find('block-storage')).toBe('http://cinder:8776/v3/p1')
})

test.each([
  ['http://glance:9292'], ['http://glance:9292/'], ['http://glance:9292/v2'], ['http://glance:9292/v2/'], ['http://glance:9292/v2.15'],
])('case 58: Glance at %s', (url) => {
  expect(find('image', { overrides: { image: url } })).toBe('http://glance:9292/v2')
})

test('case 58: Glance behind a path, Nova without a version, and Cinder without a project', () => {
  expect(find('image', { overrides: { image: 'https://cloud/image' } })).toBe('https://cloud/image/v2')
  expect(find('compute', { overrides: { compute: 'https://cloud/compute/' } })).toBe('https://cloud/compute/v2.1')
  expect(find('compute', { overrides: { compute: 'https://cloud/v2.1/p1' } })).toBe('https://cloud/v2.1/p1')
  for (const url of ['https://cloud/volume', 'https://cloud/volume/v3', 'https://cloud/volume/v3/p1']) {
    expect(find('block-storage', { overrides: { 'block-storage': url } })).toBe('https://cloud/volume/v3/p1')
  }
})

test.each(['block-storage', 'volumev3', 'block-store'])('Cinder goes by the type %s too', (type) => {
  expect(find('block-storage', {}, [{ type, endpoints: [at('http://cinder/v3/p1', 'RegionOne')] }])).toBe('http://cinder/v3/p1')
})

test('an endpoint of region * or of none serves every region', () => {
  expect(find('image', {}, [{ type: 'image', endpoints: [at('http://glance', '*')] }])).toBe('http://glance/v2')
  expect(find('image', { region: undefined }, [{ type: 'image', endpoints: [at('http://glance', null)] }])).toBe('http://glance/v2')
})

test('the only region need not be named', () => {
  expect(find('compute', { region: undefined }, catalog.slice(1))).toBe('http://nova:8774/v2.1')
})

describe('case 57: an endpoint that is not there is an error', () => {
  test.each<[sentence: string, service: ServiceName, config: Partial<CloudConfig>, code: string, message: string]>([
    ['a region that does not exist', 'compute', { region: 'RegionNine' }, 'CLOUD_REGION_UNKNOWN', 'Region "RegionNine" does not exist; the regions are RegionOne, RegionTwo.'],
    ['no region where there are two', 'compute', { region: undefined }, 'CLOUD_REGION_UNKNOWN', 'The cloud has more than one region; set "region_name" to one of RegionOne, RegionTwo.'],
    ['a service that the region does not have', 'compute', { region: 'RegionTwo' }, 'CLOUD_SERVICE_MISSING', 'The catalog has no public endpoint of the compute service in region "RegionTwo".'],
    ['an interface that the service does not have', 'compute', { interface: 'admin' }, 'CLOUD_SERVICE_MISSING', 'The catalog has no admin endpoint of the compute service in region "RegionOne"; it has public.'],
  ])('%s', (_sentence, service, config, code, message) => {
    expect(() => find(service, config)).toThrow(expect.objectContaining({ code, message }))
  })
})
