import { hasCode } from '../lib/model/errors.ts'

/** How a command ends. `check` has codes of its own. */
export const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const

/** Thrown by a command that has said what there is to say. */
export class ExitCode extends Error {
  readonly code: number

  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

/** Something that a user is told in the words of `nova`, with the name that its client gave it. */
export class NovaFailure extends Error {
  override readonly name: string = 'NovaFailure'
  readonly kind: string

  /** @param status - What the service would have answered by HTTP. */
  constructor(kind: 'NotFound' | 'BadRequest', message: string, status: number) {
    super(`${message} (HTTP ${status})`)
    this.kind = kind
  }
}

/** A failed command's one line: `ERROR (CODE): sentence`. Never the stack of an error that we expect. */
export function failureText(error: unknown, verbose: boolean): string {
  const { label, message } = explain(error)
  const stack = verbose && error instanceof Error && !hasCode(error) ? `\n${error.stack}` : ''
  return `ERROR (${label}): ${message}${stack}`
}

/** An error in words for a person: its code, and a sentence. */
export function explain(error: unknown): { label: string; message: string } {
  if (error instanceof NovaFailure) return { label: error.kind, message: error.message }
  const ofAws = causes(error).map(aws).find((found) => found !== undefined)
  if (ofAws) return ofAws
  if (hasCode(error)) return { label: error.code, message: error.requestId ? `${error.message} (request id ${error.requestId})` : error.message }
  if (!(error instanceof Error)) return { label: 'Error', message: String(error) }
  return { label: error.name, message: error.message }
}

/** An error, and what it was caused by. */
function causes(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causes(error.cause)] : []
}

/** What AWS's SDK throws names neither the cause nor the fix. */
function aws(error: Error): { label: string; message: string } | undefined {
  const label = 'AWS_ERROR'
  if (error.name === 'CredentialsProviderError' || error.name === 'TokenProviderError') {
    return { label, message: 'No AWS credentials were found. Configure them as for the AWS CLI (AWS_PROFILE, aws configure), or work without AWS: --local DIR.' }
  }
  if (error.message === 'Region is missing') return { label, message: 'No AWS region is set. Set AWS_REGION, or the region of your profile; or work without AWS: --local DIR.' }
  if (!('$metadata' in error) && !('$fault' in error)) return undefined
  if (error.name === 'ResourceNotFoundException') return { label, message: 'The stage\'s tables do not exist in this account and region. Is --stage right, and was it deployed (npx serverless deploy --stage STAGE)?' }
  if (/^(ExpiredToken|UnrecognizedClient|InvalidSignature|InvalidClientTokenId)/.test(error.name)) return { label, message: `AWS does not accept the credentials: ${error.message}` }
  if (error.name.startsWith('AccessDenied')) return { label, message: `The AWS credentials may not do this: ${error.message}` }
  return { label, message: `${error.name}: ${error.message}` }
}
