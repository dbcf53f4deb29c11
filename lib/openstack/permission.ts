import { hasCode } from '../model/errors.ts'
import type { Permission } from '../model/examination.ts'
import type { ServiceName } from './config.ts'
import type { Session } from './session.ts'
import type { Request } from './transport.ts'

/** No server, image or volume snapshot has this id. */
export const nothing = '00000000-0000-4000-8000-000000000000'

/**
 * Asks for something that can change nothing, to see whether it is refused: of {@link nothing} it is answered 404.
 *
 * Most services look for the thing before they look at their policy, so a `yes` for {@link nothing} speaks of access rules only.
 *
 * @throws ScheduledImagesError when the answer tells neither.
 */
export async function permission(session: Session, service: ServiceName, path: string, request: Omit<Request, 'url'>): Promise<Permission> {
  try {
    const { status } = await session.send(service, path, { ...request, expect: [403, 404, 409] })
    return status === 403 ? 'policy' : 'yes'
  } catch (error) {
    // Access rules refuse with 401 (lab finding, §6).
    if (hasCode(error, 'CLOUD_AUTH_FAILED')) return 'access rules'
    throw error
  }
}
