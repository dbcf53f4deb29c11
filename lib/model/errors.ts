/**
 * Every way in which something can go wrong, as a stable code. Logs, events, `state.problem` and exit codes use them,
 * so a code may be added but never renamed.
 */
export type ErrorCode =
  // what a user wrote
  | 'SCHEDULE_INVALID'
  | 'SCHEDULE_DISABLED'
  | 'SCHEDULE_NOT_FOUND'
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_AMBIGUOUS'
  | 'CLOUD_PARAMETER_MISSING'
  | 'CLOUD_PARAMETER_INVALID'
  | 'CREDENTIALS_MISSING'
  | 'CREDENTIALS_INVALID'
  | 'CONFIGURATION_INVALID'
  | 'EVENT_INVALID'
  | 'SHARD_INVALID'
  | 'CONFIRMATION_NEEDED'
  // the tables of one machine
  | 'TABLES_UNAVAILABLE'
  // reaching and entering a cloud
  | 'CLOUD_UNREACHABLE'
  | 'CLOUD_AUTH_FAILED'
  | 'CLOUD_UNSCOPED'
  | 'CLOUD_REGION_UNKNOWN'
  | 'CLOUD_SERVICE_MISSING'
  | 'CLOUD_CHANGED'
  // what a cloud answered
  | 'BAD_REQUEST'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'RATE_LIMITED'
  | 'CLOUD_ERROR'
  | 'ANSWER_INVALID'
  | 'ANSWER_LOST'
  // a server that cannot be snapshotted now
  | 'SERVER_NOT_FOUND'
  | 'SERVER_AMBIGUOUS'
  | 'SELECTOR_EMPTY'
  | 'SELECTOR_TOO_WIDE'
  | 'SELECTOR_UNUSABLE'
  | 'SERVER_BUSY'
  | 'SERVER_STUCK'
  | 'SERVER_STATE'
  | 'SERVER_LOCKED'
  | 'SERVER_NOT_STOPPED'
  | 'SERVER_NOT_STARTED'
  | 'QUIESCE_NOT_REQUIRED'
  | 'QUOTA_IMAGES'
  | 'QUOTA_VOLUME_SNAPSHOTS'
  // an image that did not become good
  | 'IMAGE_GONE'
  | 'IMAGE_STUCK'
  | 'IMAGE_UNUSABLE'
  | 'VOLUME_SNAPSHOT_FAILED'
  // a restore
  | 'RESTORE_REFUSED'
  | 'RESTORE_FAILED'
  | 'RESTORE_UNFINISHED'
  // a period in which nothing was tried
  | 'NOT_ATTEMPTED'
  // a plan that breaks a law, and was not carried out
  | 'PLAN_REFUSED'

/** A reason that is written down: in the runs table, an event, `state.problem`. */
export interface Problem {
  readonly code: ErrorCode
  /** One complete sentence that says what happened and, where it can, what to do. Never holds a secret. */
  readonly message: string
}

export interface ScheduledImagesErrorOptions {
  readonly cause?: unknown
  /** OpenStack's `x-openstack-request-id`: what a cloud's operator asks for first. */
  readonly requestId?: string | undefined
}

/** The one error class that this project throws on purpose; its message is complete without the stack. */
export class ScheduledImagesError extends Error implements Problem {
  override readonly name: string = 'ScheduledImagesError'
  readonly code: ErrorCode
  readonly requestId: string | undefined

  constructor(code: ErrorCode, message: string, options: ScheduledImagesErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.requestId = options.requestId
  }
}

/** Tells an error with one of our codes from a bug. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is ScheduledImagesError {
  return error instanceof ScheduledImagesError && (codes.length === 0 || codes.includes(error.code))
}
