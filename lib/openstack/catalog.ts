import * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'
import type { CloudConfig, ServiceName } from './config.ts'

/** Keystone's catalog, in no fixed order. */
export const catalogSchema = z.array(
  z.object({
    type: z.string(),
    endpoints: z.array(
      z.object({ interface: z.string(), region_id: z.string().nullish(), region: z.string().nullish(), url: z.string() }),
    ),
  }),
)
export type Catalog = z.output<typeof catalogSchema>

/** @see https://service-types.openstack.org/service-types.json */
const typesOf: Record<ServiceName, readonly string[]> = {
  compute: ['compute'],
  image: ['image'],
  'block-storage': ['block-storage', 'volumev3', 'block-store', 'volume'],
}

/**
 * Finds a service's URL, with its version and without a slash at its end.
 *
 * An endpoint without a region, or of region `*`, serves every region. A region that does not exist is never replaced
 * by the first that does.
 *
 * @throws ScheduledImagesError `CLOUD_REGION_UNKNOWN`, with the regions that exist, or `CLOUD_SERVICE_MISSING`.
 */
export function endpointOf(service: ServiceName, catalog: Catalog, config: Pick<CloudConfig, 'region' | 'interface' | 'overrides'>, project: string): string {
  const override = config.overrides[service]
  if (override !== undefined) return versioned(service, override, project)

  const endpoints = typesOf[service].flatMap((type) => catalog.filter((entry) => entry.type === type)).flatMap((entry) => entry.endpoints)
  const regions = regionsOf(catalog)
  const region = regionIn(catalog, config)
  if (region === undefined) {
    throw new ScheduledImagesError('CLOUD_REGION_UNKNOWN', `The cloud has more than one region; set "region_name" to one of ${regions.join(', ')}.`)
  }
  if (config.region !== undefined && regions.length > 0 && !regions.includes(config.region)) {
    throw new ScheduledImagesError('CLOUD_REGION_UNKNOWN', `Region "${config.region}" does not exist; the regions are ${regions.join(', ')}.`)
  }
  const there = endpoints.filter((endpoint) => regionOf(endpoint) === region || regionOf(endpoint) === '*')
  const found = there.find((endpoint) => endpoint.interface === config.interface)
  if (!found) {
    const others = [...new Set(there.map((endpoint) => endpoint.interface))].join(', ')
    throw new ScheduledImagesError(
      'CLOUD_SERVICE_MISSING',
      `The catalog has no ${config.interface} endpoint of the ${service} service in region "${region}"${others ? `; it has ${others}` : ''}.`,
    )
  }
  return versioned(service, found.url, project)
}

/** The region that is meant: without one in the entry it is the only one, or `*` where there is none. Undefined when nothing says which. */
export function regionIn(catalog: Catalog, { region }: Pick<CloudConfig, 'region'>): string | undefined {
  const regions = regionsOf(catalog)
  return region ?? (regions.length > 1 ? undefined : (regions[0] ?? '*'))
}

function regionsOf(catalog: Catalog): string[] {
  return [...new Set(catalog.flatMap((entry) => entry.endpoints).map(regionOf))].filter((region) => region !== '*').toSorted()
}

function regionOf(endpoint: { region_id?: string | null | undefined; region?: string | null | undefined }): string {
  return endpoint.region_id || endpoint.region || '*'
}

/** Glance's URL comes without a version, Nova's and Cinder's usually with one (lab finding, §6). */
function versioned(service: ServiceName, url: string, project: string): string {
  const bare = url.replace(/\/+$/, '')
  if (!URL.canParse(bare)) throw new ScheduledImagesError('CLOUD_SERVICE_MISSING', `The catalog's URL of the ${service} service is not one; set an endpoint override.`)
  switch (service) {
    case 'compute':
      return /\/v2(\.\d+)?(\/|$)/.test(new URL(bare).pathname) ? bare : `${bare}/v2.1`
    case 'image':
      return bare.replace(/\/v2(\.\d+)?$/, '') + '/v2'
    case 'block-storage':
      return /\/v3\//.test(new URL(bare).pathname) ? bare : `${bare.replace(/\/v3$/, '')}/v3/${project}`
  }
}
