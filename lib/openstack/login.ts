import * as z from 'zod'
import type { Login } from '../model/examination.ts'
import { parseAnswer } from './answer.ts'
import { utc } from './identity.ts'
import type { Session } from './session.ts'

const credentialSchema = z.object({
  application_credential: z.object({ expires_at: z.string().transform(utc).refine((at) => !Number.isNaN(at.getTime())).nullish() }),
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
