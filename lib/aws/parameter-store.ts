import { GetParameterCommand, type SSMClient } from '@aws-sdk/client-ssm'
import { ScheduledImagesError } from '../model/errors.ts'

/** Clouds' secrets: a SecureString parameter for each, named by its cloud. */
export class ParameterStore {
  /** Ends with a slash. */
  readonly #path: string
  readonly #client: SSMClient

  constructor(path: string, client: SSMClient) {
    this.#path = path
    this.#client = client
  }

  /**
   * Reads one cloud's parameter.
   *
   * @throws ScheduledImagesError `CLOUD_PARAMETER_MISSING`, which says how to make it, or `CLOUD_UNREACHABLE`.
   */
  async get(cloud: string): Promise<string> {
    const name = this.#path + cloud
    try {
      const { Parameter } = await this.#client.send(new GetParameterCommand({ Name: name, WithDecryption: true }))
      return Parameter?.Value ?? ''
    } catch (error) {
      if (!(error instanceof Error)) throw error
      // No cause travels along: an answer that cannot be read is quoted in its error, and may hold the secret.
      if (error.name === 'ParameterNotFound') {
        throw new ScheduledImagesError('CLOUD_PARAMETER_MISSING', `Cloud "${cloud}" has no parameter; store its clouds.yaml entry as the SecureString ${name}.`)
      }
      if (error.name === 'AccessDeniedException') {
        throw new ScheduledImagesError('CLOUD_PARAMETER_MISSING', `The function may not read the parameter ${name}; its role must allow ssm:GetParameter on it, and kms:Decrypt with its key.`)
      }
      // No request went out: a terminal without a configuration for AWS.
      if (error.name === 'CredentialsProviderError' || error.message === 'Region is missing') throw error
      throw new ScheduledImagesError('CLOUD_UNREACHABLE', `The parameter ${name} could not be read at this moment (${error.name}).`)
    }
  }
}
