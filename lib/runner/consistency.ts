import { hasCode } from '../model/errors.ts'
import type { Server } from '../model/server.ts'
import { consistencyRefusal } from '../planner/selection.ts'
import type { Cloud } from './ports.ts'
import type { Startable } from './start.ts'

type Properties = Readonly<Record<string, string>> | undefined

/** Refuses what cannot be made as consistent as its schedule demands. Asks once for each image that servers were made from. */
export async function refuseInconsistent(due: readonly Startable[], cloud: Cloud): Promise<Startable[]> {
  const known = new Map<string, Promise<Properties>>()
  const propertiesOf = (server: Server): Promise<Properties> => {
    const key = server.image ?? server.id
    if (!known.has(key)) known.set(key, readProperties(server, cloud))
    return known.get(key)!
  }
  return Promise.all(
    due.map(async (startable) => {
      const { item: { schedule: { consistency } }, server } = startable
      if (startable.refusal || consistency === 'live') return startable
      try {
        const properties = consistency === 'quiesced' ? await propertiesOf(server) : undefined
        return { ...startable, refusal: consistencyRefusal(server, consistency, properties) }
      } catch (error) {
        if (!hasCode(error)) throw error
        return { ...startable, refusal: error }
      }
    }),
  )
}

/** Of the image that a server was made from, or of the volume that one without an image boots from, which has them copied. */
export async function readProperties({ image, volumes }: Server, { image: images, blockStorage }: Cloud): Promise<Properties> {
  if (image !== undefined) return (await images.getImage(image))?.properties
  for (const id of volumes) {
    const volume = await blockStorage.getVolume(id)
    if (volume?.bootable) return volume.imageMetadata
  }
  return undefined
}
