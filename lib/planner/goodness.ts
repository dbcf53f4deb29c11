import { volumeSnapshots, type Image } from '../model/image.ts'

/** Cinder's word for each snapshot of the project, by id: `available`, `creating`, `error`, … */
export type SnapshotStatuses = ReadonlyMap<string, string>

/**
 * Whether a server could be restored from an image now.
 * `reason` finishes the sentence "the image is not good: …".
 */
export type Goodness = { readonly good: true } | { readonly good: false; readonly pending: boolean; readonly reason: string }

const good: Goodness = { good: true }

/**
 * Judges an image: `active`, with bytes of its own or with each Cinder snapshot of its mapping `available`.
 *
 * A volume-backed server's image is `active` at once, while its data may still be missing or broken, so the image's own
 * status says nothing about it (lab finding, §1).
 *
 * @param statuses - A complete listing of the project's Cinder snapshots; undefined when it is not known.
 */
export function goodness(image: Image, statuses: SnapshotStatuses | undefined): Goodness {
  if (image.status !== 'active') {
    return { good: false, pending: pendingStatuses.has(image.status), reason: `its status is ${image.status}` }
  }
  const mapping = volumeSnapshots(image)
  switch (mapping.kind) {
    case 'none':
      return image.size ? good : { good: false, pending: false, reason: 'it is empty' }
    case 'unreadable':
      return { good: false, pending: false, reason: 'its block_device_mapping cannot be read' }
    case 'snapshots': {
      if (statuses === undefined) return { good: false, pending: true, reason: 'the state of its volume snapshots is not known' }
      for (const id of mapping.ids) {
        const status = statuses.get(id)
        if (status === 'available') continue
        const reason = status === undefined ? `its volume snapshot ${id} does not exist` : `its volume snapshot ${id} is ${status}`
        return { good: false, pending: status !== undefined && !brokenStatuses.has(status), reason }
      }
      return good
    }
  }
}

/** Cinder's words for a snapshot that will never be `available`; any other passes, `backing-up` for one. */
const brokenStatuses = new Set(['error', 'error_deleting'])

/** `queued` is here although a dead upload ends in it: an upload that Nova retries passes through it (lab finding, §8). */
const pendingStatuses = new Set(['queued', 'saving', 'uploading', 'importing'])
