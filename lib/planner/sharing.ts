import { marks, type Image } from '../model/image.ts'

/** What has to be done so that an image is shared with certain projects and, as far as we shared it, with no others. */
export interface SharingPlan {
  /** Its visibility has to be made `shared` first. */
  readonly open: boolean
  /** Project ids. */
  readonly add: readonly string[]
  readonly remove: readonly string[]
}

/**
 * Plans the members of a good image.
 *
 * Whom we shared an image with is recorded in a property that begins with the image's own id, since Nova copies properties into
 * later snapshots. Members whom people added are not in it, and stay.
 *
 * @param shareWith - Project ids; the image's own project is left out.
 * @returns undefined when all is as it should be, or a person has made the image public or a community image.
 */
export function planSharing(image: Image, shareWith: readonly string[]): SharingPlan | undefined {
  const wanted = new Set(shareWith.filter((project) => project !== image.owner))
  const recorded = new Set(recipientsOf(image))
  const add = [...wanted].filter((project) => !recorded.has(project))
  const remove = [...recorded].filter((project) => !wanted.has(project))
  const open = wanted.size > 0 && image.visibility === 'private'
  if (image.visibility !== 'private' && image.visibility !== 'shared') return undefined
  return add.length + remove.length > 0 || open ? { open, add: open ? [...wanted] : add, remove } : undefined
}

/** The projects that we shared an image with, or began to. */
export function recipientsOf({ id, properties }: Image): string[] {
  const [image, ...projects] = (properties[marks.sharedWith] ?? '').split(' ')
  return image === id ? projects : []
}

/** The property that records it. */
export function recordOf(image: Image, projects: readonly string[]): Record<string, string> {
  return { [marks.sharedWith]: [image.id, ...projects].join(' ') }
}
