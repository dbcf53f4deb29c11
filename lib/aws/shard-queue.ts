import { setTimeout } from 'node:timers/promises'
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs'

// Whoever imports this on demand gets the client with it, and of the package no more than that.
export { SQSClient }

/** What SendMessageBatch takes at once. */
const messagesPerCall = 10
/** The same in bytes, for one message and for all of a call. */
const bytesPerCall = 256 * 1024
/** How often messages are sent that SQS has not taken. */
const mostAttempts = 4

interface Waiting<Message> {
  readonly message: Message
  readonly body: string
  readonly bytes: number
}

/** A message that SQS has not taken. */
export interface Unsent<Message> {
  readonly shard: Message
  readonly reason: string
}

/** The queue of the function `shard`. */
export class ShardQueue {
  readonly #url: string
  readonly #client: SQSClient

  constructor(url: string, client: SQSClient) {
    this.#url = url
    this.#client = client
  }

  /**
   * Sends each message as JSON, as many in one call as SQS takes; those that it refuses for the moment are sent again.
   *
   * A call that was sent again after a lost answer may leave a message in the queue twice, as SQS itself may.
   *
   * @returns those that SQS has not taken.
   */
  async send<Message>(messages: readonly Message[]): Promise<Unsent<Message>[]> {
    const waiting = messages.map((message): Waiting<Message> => {
      const body = JSON.stringify(message)
      return { message, body, bytes: Buffer.byteLength(body) }
    })
    const tooLarge = waiting.filter(({ bytes }) => bytes > bytesPerCall).map(({ message, bytes }) => ({ shard: message, reason: `it has ${bytes} bytes, and SQS takes ${bytesPerCall}` }))
    const calls = packed(waiting.filter(({ bytes }) => bytes <= bytesPerCall))
    return [...tooLarge, ...(await Promise.all(calls.map((batch) => this.#sendBatch(batch)))).flat()]
  }

  async #sendBatch<Message>(batch: readonly Waiting<Message>[]): Promise<Unsent<Message>[]> {
    const unsent: Unsent<Message>[] = []
    let left = batch
    for (let attempt = 1; ; attempt += 1) {
      const failed = await this.#attempt(left)
      const isTriedAgain = ({ again }: (typeof failed)[number]) => again && attempt < mostAttempts
      for (const failure of failed) if (!isTriedAgain(failure)) unsent.push({ shard: failure.waiting.message, reason: failure.reason })
      left = failed.filter(isTriedAgain).map(({ waiting }) => waiting)
      if (left.length === 0) return unsent
      await setTimeout(50 * 2 ** attempt)
    }
  }

  /** @returns those that were not taken; `again` unless the fault is the sender's. */
  async #attempt<Message>(batch: readonly Waiting<Message>[]): Promise<{ readonly waiting: Waiting<Message>; readonly reason: string; readonly again: boolean }[]> {
    try {
      const { Failed = [] } = await this.#client.send(
        new SendMessageBatchCommand({ QueueUrl: this.#url, Entries: batch.map(({ body }, i) => ({ Id: String(i), MessageBody: body })) }),
      )
      return Failed.map(({ Id, Code, Message, SenderFault }) => ({ waiting: batch[Number(Id)]!, reason: `${Code ?? 'unknown'} ${Message ?? ''}`.trim(), again: SenderFault !== true }))
    } catch (error) {
      // The SDK has tried it several times by itself.
      return batch.map((waiting) => ({ waiting, reason: String(error), again: false }))
    }
  }
}

/** Fills calls in the order of the messages. */
function packed<Message>(waiting: readonly Waiting<Message>[]): Waiting<Message>[][] {
  const calls: { bytes: number; batch: Waiting<Message>[] }[] = []
  for (const one of waiting) {
    const last = calls.at(-1)
    if (last && last.batch.length < messagesPerCall && last.bytes + one.bytes <= bytesPerCall) {
      last.batch.push(one)
      last.bytes += one.bytes
    } else calls.push({ bytes: one.bytes, batch: [one] })
  }
  return calls.map(({ batch }) => batch)
}
