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
 * later snapshots; a project that is only about to become a member has a `+` before it. Members whom people added are not in
 * it, and stay.
 *
 * @param shareWith - Project ids; the image's own project is left out.
 * @returns undefined when all is as it should be, or a person has made the image public or a community image.
 */
export function planSharing(image: Image, shareWith: readonly string[]): SharingPlan | undefined {
  const wanted = new Set(shareWith.filter((project) => project !== image.owner))
  const { members, pending } = recipientsOf(image)
  const add = [...wanted].filter((project) => !members.includes(project))
  const remove = [...members, ...pending].filter((project) => !wanted.has(project))
  const open = wanted.size > 0 && image.visibility === 'private'
  if (image.visibility !== 'private' && image.visibility !== 'shared') return undefined
  // Nobody sees it, and Glance lets no member of a private image be removed (lab finding).
  if (image.visibility === 'private' && wanted.size === 0) return undefined
  return add.length + remove.length > 0 || open ? { open, add: open ? [...wanted] : add, remove } : undefined
}

/** The projects that we made members of an image, and those that we were about to. */
export interface Recipients {
  readonly members: readonly string[]
  readonly pending: readonly string[]
}

export function recipientsOf({ id, properties }: Image): Recipients {
  const [image, ...projects] = (properties[marks.sharedWith] ?? '').split(' ')
  if (image !== id) return { members: [], pending: [] }
  return { members: projects.filter((project) => !project.startsWith('+')), pending: projects.filter((project) => project.startsWith('+')).map((project) => project.slice(1)) }
}

/** The property that records them. */
export function recordOf(image: Image, { members, pending }: Recipients): Record<string, string> {
  return { [marks.sharedWith]: [image.id, ...members, ...pending.map((project) => `+${project}`)].join(' ') }
}
