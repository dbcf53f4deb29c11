import type { OpenStackSimulator, RecordedRequest, ServerSeen } from '../../demo/openstack/simulator.ts'
import type { Scheduled } from './stage.ts'

/** Hears each request before it is carried out, and remembers what no end of a day would show any more. */
export class Witness {
  readonly #openstack: OpenStackSimulator
  readonly #scheduled: readonly Scheduled[]
  readonly #seen = new Set<string>()

  constructor(openstack: OpenStackSimulator, scheduled: readonly Scheduled[]) {
    this.#openstack = openstack
    this.#scheduled = scheduled
  }

  hear({ action, path }: RecordedRequest): void {
    if (action === undefined) return
    const scheduled = this.#scheduled.find(({ server }) => path.includes(server.id))
    const now = this.#openstack.servers().find(({ id }) => path.includes(id))
    if (!scheduled || !now) return
    const say = (what: string) => this.#seen.add(`${now.name}: ${what}`)
    if (action !== 'createImage' && !(scheduled.stopped && scheduled.server.status === 'ACTIVE')) say(`was sent ${action}`)
    // Otherwise Nova refuses it.
    if (now.taskState !== null) return
    if (action === 'createImage' && scheduled.stopped && now.status !== 'SHUTOFF') say(`an image was asked for while it was ${now.status}`)
    if (action === 'os-start' && now.status === 'SHUTOFF' && this.#isBeingSnapshotted(now)) say('was started before its image was made')
  }

  /** What was heard since the last time. */
  takeFaults(): string[] {
    const faults = [...this.#seen]
    this.#seen.clear()
    return faults
  }

  /** One that boots from an image has a task meanwhile. */
  #isBeingSnapshotted({ volumeIds }: ServerSeen): boolean {
    const creating = this.#openstack.snapshots().filter(({ volumeId, status }) => volumeIds.includes(volumeId) && status === 'creating')
    const mappings = this.#openstack.images().map(({ properties }) => properties['block_device_mapping'] ?? '')
    return creating.some(({ id }) => mappings.some((mapping) => mapping.includes(id)))
  }
}
