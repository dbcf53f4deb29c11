import { hasCode } from '../model/errors.ts'
import { volumeSnapshots, type Image } from '../model/image.ts'
import type { Schedule } from '../model/schedule.ts'
import { goodness } from '../planner/goodness.ts'
import { scheduledImage } from '../planner/ownership.ts'
import { planSharing, recipientsOf, recordOf, type SharingPlan } from '../planner/sharing.ts'
import { isInSlice, type Slice } from '../planner/slices.ts'
import type { Observation } from './observation.ts'
import { reserveMs, type Ports, type Tick } from './ports.ts'

/** What no second request changes, unless a person does something. */
const refusals = ['FORBIDDEN', 'BAD_REQUEST', 'CONFLICT', 'NOT_FOUND'] as const

/**
 * Makes each good scheduled image a shared one whose members are those of its schedule's `shareWith`.
 *
 * @param slice - Only images of the servers of one slice.
 * @returns whether all of it was done, or refused.
 */
export async function shareImages(schedules: readonly Schedule[], { cloud, images, statuses }: Observation, slice: Slice | undefined, tick: Tick, ports: Ports): Promise<boolean> {
  let done = true
  const byKey = new Map(schedules.map((schedule) => [schedule.key, schedule]))
  for (const image of images.values()) {
    const scheduled = scheduledImage(image, cloud.project)
    if (slice && scheduled && !isInSlice(scheduled.server, slice)) continue
    const schedule = scheduled && byKey.get(scheduled.schedule)
    const planned = schedule && planSharing(image, schedule.shareWith)
    if (!planned) continue
    if (tick.timeLeftMs() < reserveMs) return false
    const fields = { cloud: schedule.cloud, server: scheduled.server, schedule: schedule.key, image: image.id }
    const backed = volumeSnapshots(image).kind === 'snapshots'
    if (!goodness(image, backed ? await statuses() : undefined).good) continue
    if (ports.dryRun) {
      ports.log.info(`dry run: would share ${image.name}${sentence(planned)}`, fields)
      continue
    }
    try {
      // Looked at again: people may have taken it since it was listed, and another invocation may have shared it.
      const now = await cloud.image.getImage(image.id)
      const plan = now && scheduledImage(now, cloud.project) && planSharing(now, schedule.shareWith)
      if (!plan) continue
      await share(now, plan, cloud)
      ports.log.info(`shared ${image.name}${sentence(plan)}`, fields)
      if (backed && plan.add.length > 0) ports.log.warn('the members see this image but cannot start servers from it: its data is in volume snapshots, which OpenStack does not share', fields)
    } catch (error) {
      if (!hasCode(error)) throw error
      ports.log.warn(`not shared yet: ${error.message}`, { ...fields, code: error.code, requestId: error.requestId })
      if (!hasCode(error, ...refusals)) done = false
    }
  }
  return done
}

/** Whoever might be a member is recorded before he is, and until he no longer is: what is not recorded would stay shared for ever. */
async function share(image: Image, { open, add, remove }: SharingPlan, { image: service }: Observation['cloud']): Promise<void> {
  const { members, pending } = recipientsOf(image)
  if (add.length > 0) await service.addMarks(image, recordOf(image, { members, pending: [...new Set([...pending, ...add])] }), [])
  if (open) await service.setVisibility(image.id, 'shared')
  for (const project of add) await service.addMember(image.id, project)
  for (const project of remove) await service.removeMember(image.id, project)
  const now = [...new Set([...members, ...add])].filter((project) => !remove.includes(project))
  await service.addMarks(image, recordOf(image, { members: now, pending: [] }), [])
}

function sentence({ add, remove }: SharingPlan): string {
  return [add.length > 0 && ` with ${add.join(', ')}`, remove.length > 0 && ` no longer with ${remove.join(', ')}`].filter(Boolean).join(', and')
}
