import { ScheduledImagesError } from '../model/errors.ts'
import type { Cloud, Ports, Tick } from './ports.ts'

/**
 * Enters a cloud, unless its credentials are of another project or region than those that it was first entered with: a run that is
 * in flight would be missed there and made once more, and images that carry the same marks would be taken for ours.
 *
 * @throws ScheduledImagesError `CLOUD_CHANGED`, or as `Clouds.open` does.
 */
export async function enterCloud(name: string, { now, timeLeftMs }: Tick, { clouds, runs, dryRun }: Pick<Ports, 'clouds' | 'runs' | 'dryRun'>): Promise<Cloud> {
  const [cloud, last] = await Promise.all([clouds.open(name, timeLeftMs), runs.lastPrune(name)])
  const { project, region } = cloud
  for (const [what, former, present] of [['project', last?.project, project], ['region', last?.region, region]] as const) {
    if (former === undefined || present === undefined || former === present) continue
    throw new ScheduledImagesError(
      'CLOUD_CHANGED',
      `The credentials of cloud "${name}" are of ${what} ${present}, and up to now they were of ${what} ${former}. Nothing is made or deleted there. Give back the former ones, give the new ${what} a cloud of its own, or, if it is meant, run scheduled-images prune --new-project once.`,
    )
  }
  // From the first time on: what is begun before anything is pruned would be missed as well.
  if (!dryRun && (last?.project === undefined || (last.region === undefined && region !== undefined))) await runs.recordPrune(name, { at: last?.at ?? now, project, region })
  return cloud
}
