import { createHash, randomUUID } from 'node:crypto'

/** A message in a queue, or among its dead letters. */
export interface QueuedMessage {
  readonly id: string
  readonly body: string
  /** How often it was delivered. */
  readonly receives: number
}

/** What an event source mapping gives to a function. */
export interface QueueEvent {
  readonly Records: readonly { readonly messageId: string; readonly body: string; readonly attributes: { readonly ApproximateReceiveCount: string } }[]
}

export type Consumer = (event: QueueEvent) => Promise<{ readonly batchItemFailures: readonly { readonly itemIdentifier: string }[] }>

interface Entry {
  readonly id: string
  readonly body: string
  receives: number
  visibleAt: number
}

type SendBatch = { readonly Entries: readonly { readonly Id: string; readonly MessageBody: string }[] }

const bytesPerCall = 256 * 1024
/** Of serverless.yml. */
const visibilityMs = 90 * 60_000
const mostReceives = 3

/**
 * An SQS queue in memory, with the event source mapping that takes messages from it: each is delivered alone, stays invisible
 * meanwhile, is gone once its function has reported it as done, and after some deliveries is a dead letter.
 */
export class LocalQueue {
  readonly url: string
  readonly deadLetters: QueuedMessage[] = []
  /** So many messages are refused from now on, as SQS does when it is overloaded. */
  refusing = 0
  /** Has SendMessageBatch answer 500. */
  fails = false
  /** How many calls sent messages. */
  calls = 0
  /** The most that were being delivered at once. */
  mostAtOnce = 0
  readonly #clock: () => Date
  #entries: Entry[] = []

  constructor(url: string, clock: () => Date) {
    this.url = url
    this.#clock = clock
  }

  /** Those that are waiting or being delivered. */
  get messages(): readonly QueuedMessage[] {
    return this.#entries.map(({ id, body, receives }) => ({ id, body, receives }))
  }

  /** Puts a message there, as anybody might; also a second time, as SQS might. */
  put(body: string): void {
    this.#entries.push({ id: randomUUID(), body, receives: 0, visibleAt: 0 })
  }

  /** Answers SendMessageBatch, with the digest that the SDK checks. @returns undefined for a request that SQS refuses whole. */
  sendBatch({ Entries }: SendBatch): { readonly Successful: object[]; readonly Failed: object[] } | undefined {
    this.calls += 1
    const bytes = Entries.reduce((sum, { MessageBody }) => sum + Buffer.byteLength(MessageBody), 0)
    if (this.fails || Entries.length === 0 || Entries.length > 10 || bytes > bytesPerCall) return undefined
    const Successful: object[] = []
    const Failed: object[] = []
    for (const { Id, MessageBody } of Entries) {
      if (this.refusing > 0) {
        this.refusing -= 1
        Failed.push({ Id, SenderFault: false, Code: 'InternalError', Message: 'Try again.' })
        continue
      }
      this.put(MessageBody)
      Successful.push({ Id, MessageId: this.#entries.at(-1)!.id, MD5OfMessageBody: createHash('md5').update(MessageBody).digest('hex') })
    }
    return { Successful, Failed }
  }

  /**
   * Delivers what is visible by now, until nothing is.
   *
   * @param atOnce - How many functions may run at the same time.
   * @returns how many deliveries there were.
   */
  async deliver(consumer: Consumer, atOnce = 1): Promise<number> {
    let deliveries = 0
    let running = 0
    const worker = async (): Promise<void> => {
      for (let entry = this.#receive(); entry; entry = this.#receive()) {
        deliveries += 1
        this.mostAtOnce = Math.max(this.mostAtOnce, (running += 1))
        await this.#deliverOne(entry, consumer)
        running -= 1
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    return deliveries
  }

  #receive(): Entry | undefined {
    const now = this.#clock().getTime()
    for (const dead of this.#entries.filter(({ receives, visibleAt }) => receives >= mostReceives && visibleAt <= now)) {
      this.deadLetters.push({ id: dead.id, body: dead.body, receives: dead.receives })
      this.#remove(dead)
    }
    const next = this.#entries.find(({ visibleAt }) => visibleAt <= now)
    if (!next) return undefined
    next.receives += 1
    next.visibleAt = now + visibilityMs
    return next
  }

  async #deliverOne(entry: Entry, consumer: Consumer): Promise<void> {
    const { id: messageId, body, receives } = entry
    try {
      const { batchItemFailures } = await consumer({ Records: [{ messageId, body, attributes: { ApproximateReceiveCount: String(receives) } }] })
      if (!batchItemFailures.some(({ itemIdentifier }) => itemIdentifier === messageId)) this.#remove(entry)
    } catch {
      // Of an invocation that ends in error, every message comes again.
    }
  }

  #remove(entry: Entry): void {
    this.#entries = this.#entries.filter((other) => other !== entry)
  }
}
