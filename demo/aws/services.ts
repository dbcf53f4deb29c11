import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import dynalite from 'dynalite'
import { LocalQueue } from './queue.ts'
import { faultsOfEvent } from './event-schemas.ts'

/** An event as EventBridge was given it. */
export interface SentEvent {
  readonly type: string
  readonly source: string
  readonly bus: string
  readonly detail: Record<string, unknown>
}

/** DynamoDB, Parameter Store, EventBridge and SQS on loopback. */
export interface LocalAws {
  /** What the SDK and the functions need to find them. */
  readonly env: Readonly<Record<string, string>>
  /** SecureString parameters by name; change them as you like. */
  readonly parameters: Map<string, string>
  /** What EventBridge was sent, oldest first. */
  readonly events: SentEvent[]
  /** While true, EventBridge answers 500. */
  eventsFail: boolean
  /** The shard queue. Functions use it when its URL is their `SHARD_QUEUE_URL`. */
  readonly queue: LocalQueue
  /** Rejects when an event was not as its schema in `docs/events/` says. */
  close(): Promise<void>
}

/**
 * Starts dynalite for DynamoDB, and the calls of Systems Manager, EventBridge and SQS that the functions and the command line make.
 * They speak the SDK's JSON protocol, so the functions run unchanged against them by `AWS_ENDPOINT_URL_*`.
 *
 * @param clock - By which messages become visible again.
 */
export async function startAws(clock: () => Date = () => new Date()): Promise<LocalAws> {
  const dynamodb = dynalite({ createTableMs: 0 })
  const parameters = new Map<string, string>()
  const events: SentEvent[] = []

  const others = createServer(async (request, response) => {
    const operation = String(request.headers['x-amz-target']).split('.').at(-1)!
    const input = JSON.parse(await text(request)) as Record<string, unknown>
    if (operation === 'GetParameter') {
      const name = String(input['Name'])
      const value = parameters.get(name)
      if (value === undefined) answer(response, 400, { __type: 'ParameterNotFound' })
      else answer(response, 200, { Parameter: { Name: name, Type: 'SecureString', Value: value } })
    } else if (operation === 'PutParameter') {
      const { Name, Value, Overwrite } = input as { Name: string; Value: string; Overwrite?: boolean }
      if (parameters.has(Name) && !Overwrite) answer(response, 400, { __type: 'ParameterAlreadyExists' })
      // It quotes what it refuses.
      else if (Value.includes('{{')) answer(response, 400, { __type: 'ValidationException', message: `Parameter value: (${Value}) can't nest another parameter.` })
      else {
        parameters.set(Name, Value)
        answer(response, 200, { Version: 1, Tier: 'Standard' })
      }
    } else if (operation === 'DeleteParameter') {
      const deleted = parameters.delete(String(input['Name']))
      answer(response, deleted ? 200 : 400, deleted ? {} : { __type: 'ParameterNotFound' })
    } else if (operation === 'GetParametersByPath') {
      // A page of two, so that whoever lists has to go on.
      const names = [...parameters.keys()].filter((name) => name.startsWith(String(input['Path']))).toSorted()
      const start = Number(input['NextToken'] ?? 0)
      const Parameters = names.slice(start, start + 2).map((Name) => ({ Name, Type: 'SecureString', Value: 'encrypted', LastModifiedDate: 1_793_491_200 }))
      answer(response, 200, { Parameters, ...(start + 2 < names.length && { NextToken: String(start + 2) }) })
    } else if (operation === 'PutEvents' && !aws.eventsFail) {
      const entries = input['Entries'] as { DetailType: string; Source: string; EventBusName: string; Detail: string }[]
      for (const { DetailType, Source, EventBusName, Detail } of entries) {
        events.push({ type: DetailType, source: Source, bus: EventBusName, detail: JSON.parse(Detail) as Record<string, unknown> })
      }
      answer(response, 200, { FailedEntryCount: 0, Entries: entries.map((_, i) => ({ EventId: String(i) })) })
    } else if (operation === 'SendMessageBatch') {
      const sent = aws.queue.sendBatch(input as unknown as Parameters<LocalQueue['sendBatch']>[0])
      if (sent) answer(response, 200, sent)
      else answer(response, aws.queue.fails ? 500 : 400, { __type: aws.queue.fails ? 'InternalFailure' : 'com.amazonaws.sqs#BatchRequestTooLong' })
    } else answer(response, 500, { __type: 'InternalFailure' })
  })
  const [tables, rest] = await Promise.all([listen(dynamodb), listen(others)])

  const aws: LocalAws = {
    env: {
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'a-secret-of-nobody',
      AWS_ENDPOINT_URL_DYNAMODB: tables,
      AWS_ENDPOINT_URL_SSM: rest,
      AWS_ENDPOINT_URL_EVENTBRIDGE: rest,
      AWS_ENDPOINT_URL_SQS: rest,
    },
    parameters,
    events,
    eventsFail: false,
    queue: new LocalQueue(`${rest}/000000000000/shards`, clock),
    close: async () => {
      await Promise.all([stop(dynamodb), stop(others)])
      const faults = events.flatMap((event) => faultsOfEvent(event).map((fault) => `${fault} of ${JSON.stringify(event.detail)}`))
      if (faults.length > 0) throw new Error(`Events are not as their schemas say: ${faults.join('\n')}`)
    },
  }
  return aws
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body))
}
