import * as z from 'zod'
import { hasCode } from '../model/errors.ts'
import type { Login } from '../model/examination.ts'
import { parseAnswer } from './answer.ts'
import type { ServiceName } from './config.ts'
import { instant } from './identity.ts'
import type { Session } from './session.ts'

const credentialSchema = z.object({
  application_credential: z.object({ expires_at: instant.nullish() }),
})

/** Keystone, as far as credentials can be looked at. @see https://docs.openstack.org/api-ref/identity/v3/ */
export class Identity {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** Who the credentials are; from the token, without a request of its own. */
  login(): Promise<Login> {
    return this.#session.login()
  }

  /** Where each service is by the catalog; undefined for one that the cloud does not have. */
  async services(): Promise<Readonly<Record<ServiceName, string | undefined>>> {
    const find = (service: ServiceName) =>
      this.#session.endpoint(service).catch((error: unknown) => {
        if (!hasCode(error, 'CLOUD_SERVICE_MISSING')) throw error
        return undefined
      })
    const [compute, image, blockStorage] = await Promise.all([find('compute'), find('image'), find('block-storage')])
    return { compute, image, 'block-storage': blockStorage }
  }

  /**
   * When the application credential ends, `GET /users/{user}/application_credentials/{id}`.
   *
   * @returns undefined when it never does.
   * @throws ScheduledImagesError for one that may not look at itself.
   */
  async credentialExpiry(user: string, id: string): Promise<Date | undefined> {
    const what = 'Looking up the application credential'
    const answer = await this.#session.sendToKeystone(`/users/${encodeURIComponent(user)}/application_credentials/${encodeURIComponent(id)}`, { method: 'GET', what })
    return parseAnswer(answer, credentialSchema, what).application_credential.expires_at ?? undefined
  }
}
