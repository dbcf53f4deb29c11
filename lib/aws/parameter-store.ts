import { DeleteParameterCommand, GetParameterCommand, GetParametersByPathCommand, PutParameterCommand, type SSMClient } from '@aws-sdk/client-ssm'
import { ScheduledImagesError } from '../model/errors.ts'

/** Bytes of an advanced parameter. */
const longestValue = 8192

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
    const name = this.parameterOf(cloud)
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

  /** The names of all clouds that have a parameter. No value is decrypted. */
  async list(): Promise<string[]> {
    const names: string[] = []
    let NextToken: string | undefined
    do {
      const page = await this.#client.send(new GetParametersByPathCommand({ Path: this.#path, WithDecryption: false, ...(NextToken && { NextToken }) }))
      names.push(...(page.Parameters ?? []).flatMap(({ Name }) => (Name === undefined ? [] : [Name.slice(this.#path.length)])))
      NextToken = page.NextToken
    } while (NextToken)
    return names.toSorted()
  }

  /**
   * Writes one cloud's parameter, encrypted with the account's own key for Systems Manager.
   *
   * @throws ScheduledImagesError `CLOUD_PARAMETER_INVALID` for a name or a value that a parameter cannot have.
   */
  async put(cloud: string, value: string): Promise<void> {
    if (!/^[\w.-]+$/.test(cloud)) throw new ScheduledImagesError('CLOUD_PARAMETER_INVALID', `A cloud cannot be called "${cloud}": its name may have letters, digits, ".", "-" and "_".`)
    if (Buffer.byteLength(value) > longestValue) {
      throw new ScheduledImagesError('CLOUD_PARAMETER_INVALID', `The entry of cloud "${cloud}" has ${Buffer.byteLength(value)} bytes, and a parameter has room for ${longestValue}; leave certificates out of "cacert" that are not needed.`)
    }
    // Above 4 KB a parameter costs some cents a month.
    try {
      await this.#client.send(new PutParameterCommand({ Name: this.parameterOf(cloud), Value: value, Type: 'SecureString', Tier: 'Intelligent-Tiering', Overwrite: true }))
    } catch (error) {
      // AWS quotes a value that it refuses, and neither the message nor the error may travel along.
      if (error instanceof Error && error.name === 'ValidationException') {
        throw new ScheduledImagesError('CLOUD_PARAMETER_INVALID', `AWS refused the entry of cloud "${cloud}" as the value of a parameter. A value cannot hold "{{".`)
      }
      throw error
    }
  }

  /** @returns false when it was gone already. */
  async remove(cloud: string): Promise<boolean> {
    try {
      await this.#client.send(new DeleteParameterCommand({ Name: this.parameterOf(cloud) }))
      return true
    } catch (error) {
      if (error instanceof Error && error.name === 'ParameterNotFound') return false
      throw error
    }
  }

  /** The name of a cloud's parameter. */
  parameterOf(cloud: string): string {
    return this.#path + cloud
  }
}
