import { Agent, type ClientRequest } from 'node:http'

/** One call of a process to AWS: what IAM is asked about. */
export interface AwsCall {
  /** `dynamodb:PutItem` */
  readonly action: string
  /** What it is done to, by its name: `runs`, `runs/index/in-flight`, a parameter, a bus, a queue's URL. */
  readonly resource: string
}

type Input = Record<string, unknown>

/** The call of IAM that each of the SDK's is, and what it names. One that is not here is not known to any test, and fails it. */
const calls: Record<string, (input: Input) => AwsCall[]> = {
  ...Object.fromEntries(['Query', 'Scan', 'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem'].map((operation) => [
    `DynamoDB_20120810.${operation}`,
    ({ TableName, IndexName }: Input) => [{ action: `dynamodb:${operation}`, resource: `${TableName}${IndexName === undefined ? '' : `/index/${IndexName}`}` }],
  ])),
  'DynamoDB_20120810.BatchGetItem': ({ RequestItems }) => Object.keys(RequestItems as object).map((resource) => ({ action: 'dynamodb:BatchGetItem', resource })),
  'AmazonSQS.SendMessageBatch': ({ QueueUrl }) => [{ action: 'sqs:SendMessage', resource: String(QueueUrl) }],
  'AmazonSSM.GetParameter': ({ Name }) => [{ action: 'ssm:GetParameter', resource: String(Name) }],
  'AWSEvents.PutEvents': ({ Entries }) => (Entries as { EventBusName: string }[]).map(({ EventBusName }) => ({ action: 'events:PutEvents', resource: EventBusName })),
}

/** What Node calls for each request; not part of its types. */
interface RequestAdder {
  addRequest(request: ClientRequest, options: unknown): void
}

/** An HTTP agent that tells of each call to AWS, whatever made it. */
export class AwsCalls extends Agent {
  readonly #onCall: (call: AwsCall) => void

  constructor(onCall: (call: AwsCall) => void) {
    super({ keepAlive: true })
    this.#onCall = onCall
  }

  addRequest(request: ClientRequest, options: unknown): void {
    const target = request.getHeader('x-amz-target')
    if (typeof target === 'string') this.#listen(request, target)
    ;(Agent.prototype as unknown as RequestAdder).addRequest.call(this, request, options)
  }

  /** The SDK gives the body as a whole, when it ends the request. */
  #listen(request: ClientRequest, target: string): void {
    const end = request.end.bind(request) as (...args: unknown[]) => ClientRequest
    request.end = ((body: string | Uint8Array, ...rest: unknown[]) => {
      const known = calls[target]
      if (!known) throw new Error(`${target} is not known to test/support/aws-calls.ts.`)
      for (const call of known(JSON.parse(Buffer.from(body as Uint8Array).toString()) as Input)) this.#onCall(call)
      return end(body, ...rest)
    }) as ClientRequest['end']
  }
}
