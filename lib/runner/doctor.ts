import type { Login, Permission } from '../model/examination.ts'
import type { Quota } from '../model/quota.ts'
import type { Server } from '../model/server.ts'
import { membersOf, type CloudFacts, type Fact, type InsideFacts } from '../planner/doctor.ts'
import { readProperties } from './consistency.ts'
import { allSchedules } from './items.ts'
import { listMarked } from './observation.ts'
import type { Cloud, Runs, Schedules } from './ports.ts'

/** A cloud that is looked at more closely than to make images in it. Nothing here changes anything. */
export interface ExaminedCloud extends Cloud {
  readonly identity: {
    login(): Promise<Login>
    services(): Promise<Readonly<Record<'compute' | 'image' | 'block-storage', string | undefined>>>
    credentialExpiry(user: string, id: string): Promise<Date | undefined>
  }
  readonly compute: Cloud['compute'] & {
    missingMicroversion(): Promise<string | undefined>
    mayMakeImages(): Promise<Permission>
    mayStopServers(): Promise<Permission>
  }
  readonly image: Cloud['image'] & {
    usage(): Promise<{ readonly count: Quota | undefined; readonly size: Quota | undefined } | undefined>
    mayChangeImages(image: string | undefined): Promise<Permission>
    mayDeleteImages(): Promise<Permission>
  }
  readonly blockStorage: Cloud['blockStorage'] & {
    getQuotas(): Promise<{ readonly snapshots: Quota; readonly gigabytes: Quota }>
    volumeSizes(): Promise<ReadonlyMap<string, number>>
    mayDeleteSnapshots(): Promise<Permission>
    mayReadSnapshots(): Promise<Permission>
  }
}

export interface ExaminationPorts {
  readonly schedules: Pick<Schedules, 'query'>
  readonly runs: Pick<Runs, 'inFlight'>
  /** Enters the cloud with the credentials that the service uses. */
  readonly open: (cloud: string) => Promise<ExaminedCloud>
  /** What an error means to a person, in a sentence without a secret. */
  readonly explain: (error: unknown) => string
  readonly clock: () => Date
}

/** Looks at everything that {@link CloudFacts} knows of. Whatever fails is a fact too, and stops nothing else. */
export async function examine(cloud: string, { schedules, runs, open, explain, clock }: ExaminationPorts): Promise<CloudFacts> {
  const fact = async <Value>(look: () => Promise<Value>): Promise<Fact<Value>> => {
    try {
      return { known: true, value: await look() }
    } catch (error) {
      return { known: false, why: explain(error) }
    }
  }
  const [items, inFlight, entered] = await Promise.all([
    fact(() => allSchedules(schedules)),
    fact(() => runs.inFlight()),
    fact(() => open(cloud)),
  ])
  const outside = { cloud, now: clock(), schedules: items, runs: inFlight }
  if (!entered.known) return { ...outside, login: entered }
  const inside = entered.value
  const login = await fact(() => inside.identity.login())
  return { ...outside, login, inside: await examineInside(inside, login, fact, outside) }
}

async function examineInside(
  cloud: ExaminedCloud,
  login: Fact<Login>,
  fact: <Value>(look: () => Promise<Value>) => Promise<Fact<Value>>,
  outside: Pick<CloudFacts, 'cloud' | 'schedules'>,
): Promise<InsideFacts> {
  const { identity, compute, image, blockStorage } = cloud
  const { user, application } = login.known ? login.value : {}
  const images = fact(() => listMarked(cloud))
  const ownImage = images.then((listed) => (listed.known ? listed.value.find(({ status }) => status === 'active')?.id : undefined))
  const servers = await fact(() => compute.listServers())
  const quiesced = membersOf(outside, { servers }).flatMap((member) => (member.schedule.consistency === 'quiesced' ? member.servers : []))
  const [credentialExpiry, services, missingMicroversion, imageUsage, volumeLimits, volumeSizes, guests, ...may] = await Promise.all([
    fact(async () => (user && application ? identity.credentialExpiry(user.id, application.id) : undefined)),
    fact(() => identity.services()),
    fact(() => compute.missingMicroversion()),
    fact(() => image.usage()),
    fact(() => blockStorage.getQuotas()),
    fact(() => blockStorage.volumeSizes()),
    Promise.all(quiesced.map(async (server: Server) => [server.id, await fact(() => readProperties(server, cloud))] as const)),
    fact(() => compute.mayMakeImages()),
    fact(async () => image.mayChangeImages(await ownImage)),
    fact(() => image.mayDeleteImages()),
    fact(() => blockStorage.mayReadSnapshots()),
    fact(() => blockStorage.mayDeleteSnapshots()),
    fact(() => compute.mayStopServers()),
  ])
  const [makeImages, changeImages, deleteImages, readSnapshots, deleteSnapshots, stopServers] = may
  return {
    credentialExpiry, services, missingMicroversion, servers, imageUsage, volumeLimits, volumeSizes,
    images: await images,
    may: { makeImages, changeImages, deleteImages, readSnapshots, deleteSnapshots, stopServers },
    guests: new Map(guests),
  }
}
