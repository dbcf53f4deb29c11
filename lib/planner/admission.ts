import type { Server } from '../model/server.ts'

/** How many images of a cloud may be made at once. */
export interface Limits {
  readonly maxInFlight: number
  /** Of servers on one compute host; Nova itself makes 5 at once there unless it is told otherwise. */
  readonly maxInFlightPerHost: number
}

/** What is being done already. */
export interface Underway {
  /** The servers of the images that are being made, one for each image. */
  readonly making: readonly string[]
  /** Servers that were stopped for an image, and are to run again soon. */
  readonly stopped: readonly string[]
}

/** A due server that waits to be asked for an image. */
export interface Applicant {
  readonly server: Server
  /** `<cadence>/<schedule>` */
  readonly schedule: string
  /** When its last good image was made; undefined when it has none, or none that is known. */
  readonly lastGood: Date | undefined
  /** When it became due. */
  readonly startsAt: Date
  /** It is refused without asking OpenStack, and so takes no slot. */
  readonly refused: boolean
  /** Its server is not to run meanwhile. */
  readonly stopped: boolean
}

export interface Admission<Each extends Applicant> {
  /** In the order in which they are to be started. */
  readonly admitted: readonly Each[]
  /** `reason` finishes the sentence "waiting: …". */
  readonly waiting: readonly { readonly applicant: Each; readonly reason: string }[]
}

/**
 * Decides which due servers of one cloud may start now: the one whose last good image is oldest comes first, one that has none
 * before all; as many as the limits leave free; and one image of a server at a time, whichever schedule it is of.
 *
 * Nova checks whether a server is busy before it makes the image, and marks it busy afterwards: of two requests at once one
 * leaves an image that stays queued for ever.
 *
 * A server that is not to run during its image waits for every other image of it: whoever stopped it for that will start it.
 *
 * @param servers - The listing: which host each server is on. Nova shows a project a name of the host that means nothing
 *   elsewhere, and none for a server that is on no host.
 */
export function admit<Each extends Applicant>(applicants: readonly Each[], underway: Underway, servers: ReadonlyMap<string, Server>, limits: Limits): Admission<Each> {
  const perHost = new Map<string, number>()
  const occupy = (host: string | undefined) => host !== undefined && perHost.set(host, (perHost.get(host) ?? 0) + 1)
  for (const server of underway.making) occupy(servers.get(server)?.host)
  let taken = underway.making.length
  const making = new Set(underway.making)
  const stoppedForOthers = new Set(underway.stopped)
  const reasonToWait = ({ server: { id, host }, stopped }: Applicant): string | undefined => {
    if (making.has(id)) return 'another image of this server is being made'
    if (stopped && stoppedForOthers.has(id)) return 'the server was stopped for another image, and has not been seen running again'
    if (taken >= limits.maxInFlight) return `as many images of this cloud are being made as max_in_flight allows (${limits.maxInFlight})`
    const onHost = host === undefined ? 0 : (perHost.get(host) ?? 0)
    if (onHost >= limits.maxInFlightPerHost) return `as many images of servers on its compute host are being made as max_in_flight_per_host allows (${limits.maxInFlightPerHost})`
    return undefined
  }
  const admitted: Each[] = []
  const waiting: { applicant: Each; reason: string }[] = []
  for (const applicant of applicants.toSorted(stalestFirst)) {
    const reason = applicant.refused ? undefined : reasonToWait(applicant)
    if (reason !== undefined) {
      waiting.push({ applicant, reason })
      continue
    }
    admitted.push(applicant)
    if (applicant.refused) continue
    making.add(applicant.server.id)
    occupy(applicant.server.host)
    taken += 1
  }
  return { admitted, waiting }
}

function stalestFirst(a: Applicant, b: Applicant): number {
  return (a.lastGood?.getTime() ?? 0) - (b.lastGood?.getTime() ?? 0) || a.startsAt.getTime() - b.startsAt.getTime() || (a.server.id < b.server.id ? -1 : 1)
}
