import { PutEventsCommand, type EventBridgeClient } from '@aws-sdk/client-eventbridge'

/** What PutEvents takes at once. */
const eventsPerCall = 10

/** One event; all but `type` becomes its detail. */
export interface BusEvent {
  readonly type: string
}

/** Called for events that could not be sent. */
export type OnUnsent = (message: string, fields: Record<string, unknown>) => void

/** Collects events, and sends them ten at a time to EventBridge. It never fails its caller: a run is worth more than news of it. */
export class EventBus {
  readonly #bus: string
  readonly #client: EventBridgeClient
  readonly #onUnsent: OnUnsent
  #waiting: BusEvent[] = []

  constructor(bus: string, client: EventBridgeClient, onUnsent: OnUnsent) {
    this.#bus = bus
    this.#client = client
    this.#onUnsent = onUnsent
  }

  publish(event: BusEvent): void {
    this.#waiting.push(event)
  }

  /** Sends what was published; resolves when EventBridge has it, or when it has been logged that it has not. */
  async flush(): Promise<void> {
    const events = this.#waiting
    this.#waiting = []
    const calls = Array.from({ length: Math.ceil(events.length / eventsPerCall) }, (_, i) => events.slice(i * eventsPerCall, (i + 1) * eventsPerCall))
    await Promise.all(calls.map((some) => this.#send(some)))
  }

  async #send(events: readonly BusEvent[]): Promise<void> {
    try {
      const { Entries = [] } = await this.#client.send(
        new PutEventsCommand({
          Entries: events.map(({ type, ...detail }) => ({
            EventBusName: this.#bus,
            Source: 'scheduled-images',
            DetailType: type,
            Detail: JSON.stringify({ version: 1, ...detail }),
          })),
        }),
      )
      for (const [i, { ErrorCode, ErrorMessage }] of Entries.entries()) {
        if (ErrorCode) this.#onUnsent(`an event was not sent: ${ErrorCode} ${ErrorMessage ?? ''}`, { event: events[i] })
      }
    } catch (error) {
      this.#onUnsent('events were not sent', { events, error })
    }
  }
}
