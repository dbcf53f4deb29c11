/** Who the credentials are, as Keystone said when it gave a token for them. */
export interface Login {
  readonly kind: 'application credential' | 'password'
  /** Names, as Keystone has them. */
  readonly roles: readonly string[]
  readonly user: { readonly id: string; readonly name: string } | undefined
  readonly project: { readonly id: string; readonly name: string }
  /** Set for an application credential. `restricted` ones cannot make further credentials. */
  readonly application: { readonly id: string; readonly name: string; readonly restricted: boolean | undefined } | undefined
  /** When the user's password ends; undefined if never, or not said. */
  readonly passwordExpiresAt: Date | undefined
  /** How far this machine's clock is ahead of Keystone's; negative when it is behind. undefined when Keystone did not say its time. */
  readonly clockAheadMs: number | undefined
  readonly authUrl: string
  /** Whether certificates are checked. */
  readonly verify: boolean
  readonly region: string | undefined
  /** When the token ends; the next one is asked for by itself. */
  readonly tokenExpiresAt: Date
}

/**
 * Whether something is allowed, as far as can be found out without doing it: `yes` means that nothing refuses it, `policy` that the
 * service does, and `access rules` that the application credential's own rules do.
 */
export type Permission = 'yes' | 'policy' | 'access rules'
