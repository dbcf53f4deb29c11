import { ScheduledImagesError } from '../lib/model/errors.ts'
import type { Image } from '../lib/model/image.ts'
import { isUuid } from '../lib/model/uuid.ts'
import { listWithHidden } from '../lib/runner/observation.ts'
import type { Cloud } from '../lib/runner/ports.ts'

/**
 * The image that a person names, by UUID or by its exact name: one of their own project, hidden or not.
 *
 * @throws ScheduledImagesError `IMAGE_NOT_FOUND` or `IMAGE_AMBIGUOUS`.
 */
export async function findImage(text: string, cloud: Pick<Cloud, 'image' | 'project'>): Promise<Image> {
  const missing = () => new ScheduledImagesError('IMAGE_NOT_FOUND', `No image with a name or ID of "${text}" exists in the project.`)
  if (isUuid(text)) {
    const image = await cloud.image.getImage(text.toLowerCase())
    if (image) return image
    throw missing()
  }
  const named = (await listWithHidden(cloud, {})).filter(({ name }) => name === text)
  if (named.length > 1) throw new ScheduledImagesError('IMAGE_AMBIGUOUS', `${named.length} images are named "${text}": ${named.map(({ id }) => id).join(', ')}. Give the UUID of the one that is meant.`)
  if (!named[0]) throw missing()
  return named[0]
}
