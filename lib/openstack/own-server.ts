import { isUuid } from '../model/uuid.ts'

/** What tells which server this machine is: arguments, so that a test needs neither a cloud nor root. */
export interface MachineEdges {
  /** Where OpenStack's metadata service is. */
  readonly metadataUrl: string
  /** @returns undefined for a file that does not exist, or that may not be read. */
  readonly readFile: (path: string) => string | undefined
}

/** Which servers this machine may be. */
export interface OwnServer {
  /** UUIDs, the likeliest first; empty when nothing tells. */
  readonly ids: readonly string[]
  /** Finishes the sentence "this machine is server …, as … says", or says what was tried in vain. */
  readonly source: string
}

const productUuid = '/sys/class/dmi/id/product_uuid'
/** It answers in milliseconds, or it is not there. */
const timeoutMs = 2000

/**
 * Which server of an OpenStack this machine is, by its metadata service, or else by the UUID that Nova gives its virtual hardware. Both
 * are claims: only the cloud can confirm that it is there.
 */
export async function findOwnServer({ metadataUrl, readFile }: MachineEdges): Promise<OwnServer> {
  const url = `${metadataUrl.replace(/\/$/, '')}/openstack/latest/meta_data.json`
  const told = await askMetadata(url)
  if ('id' in told) return { ids: [told.id], source: 'the metadata service' }
  const hardware = readFile(productUuid)?.trim().toLowerCase()
  if (hardware !== undefined && isUuid(hardware)) return { ids: [hardware, swapped(hardware)], source: productUuid }
  const why = hardware === undefined ? 'is not there, or may not be read (only root may)' : 'holds no UUID'
  return { ids: [], source: `the metadata service at ${url} ${told.failure}, and ${productUuid} ${why}` }
}

async function askMetadata(url: string): Promise<{ readonly id: string } | { readonly failure: string }> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
    if (!answer.ok) return { failure: `answered ${answer.status}` }
    const { uuid: id } = (await answer.json()) as { uuid?: unknown }
    return typeof id === 'string' && isUuid(id) ? { id: id.toLowerCase() } : { failure: 'told no UUID' }
  } catch {
    return { failure: 'does not answer' }
  }
}

/** Before version 2.6 of SMBIOS it was not said in which order a UUID's first three numbers have their bytes, and firmware and kernels differ. */
function swapped(id: string): string {
  const [first, second, third, ...rest] = id.split('-')
  const reversed = [first!, second!, third!].map((number) => number.match(/../g)!.toReversed().join(''))
  return [...reversed, ...rest].join('-')
}
