import { ScheduledImagesError } from '../model/errors.ts'
import type { Cloud, Ports, Tick } from './ports.ts'

/**
 * Enters a cloud, unless its credentials are of another project than those that it was last pruned with: a run that is in
 * flight would be missed there and made once more, and images that carry the same marks would be taken for ours.
 *
 * @throws ScheduledImagesError `CLOUD_CHANGED`, or as `Clouds.open` does.
 */
export async function enterCloud(name: string, { timeLeftMs }: Tick, { clouds, runs }: Pick<Ports, 'clouds' | 'runs'>): Promise<Cloud> {
  const [cloud, last] = await Promise.all([clouds.open(name, timeLeftMs), runs.lastPrune(name)])
  if (last?.project === undefined || last.project === cloud.project) return cloud
  throw new ScheduledImagesError(
    'CLOUD_CHANGED',
    `The credentials of cloud "${name}" are of project ${cloud.project}, and up to now they were of project ${last.project}. Nothing is made or deleted there. Give back the former ones, give the new project a cloud of its own, or, if it is meant, run scheduled-images prune --new-project once.`,
  )
}
