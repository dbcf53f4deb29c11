/** The services that share the one port. */
export type ServiceName = 'identity' | 'compute' | 'image' | 'block-storage'

/** One request that the cloud got. */
export interface RecordedRequest {
  readonly service: ServiceName
  readonly method: string
  /** With the query, and without the service's prefix: `/v2/images?limit=5`. */
  readonly path: string
  /** 0 until it is answered, and for good if the connection was reset. */
  readonly status: number
  /** What the `OpenStack-API-Version` header said. */
  readonly microversion?: string
  /** For `POST …/action`: which action. */
  readonly action?: string
  readonly at: Date
}

/** An answer of the fault's own, or changes to the real one. */
export interface FaultAnswer {
  /** Wait first, in real time. Alone, it only delays. */
  readonly delayMs?: number
  /** Answer so without doing the work. Without `body`, in the service's own error format. */
  readonly status?: number
  /** Instead of the real body; an object is sent as JSON. Without `status`, the work is done. */
  readonly body?: string | object
  /** Added to the answer's headers. */
  readonly headers?: Readonly<Record<string, string>>
  /** Announce the whole length, send this many bytes, reset the connection. */
  readonly truncateAt?: number
}

/** `lose-answer`: the work is done, then the connection is reset. `hang`: nothing is done, nothing is answered. */
export type FaultEffect = 'reset' | 'hang' | 'lose-answer' | FaultAnswer

/** What goes wrong, and when. All given conditions must hold. */
export interface FaultRule {
  readonly service?: ServiceName
  readonly method?: string
  /** Tried on {@link RecordedRequest.path}. */
  readonly path?: RegExp
  /** Tried on the request's body: `/createImage/`. */
  readonly body?: RegExp
  /** Lets the first so many matches through; default 0. */
  readonly after?: number
  /** Applies so many times; default for ever. */
  readonly times?: number
  readonly then: FaultEffect
}

/** The faults in force. The first rule that applies wins. */
export class Faults {
  readonly #rules: { readonly rule: FaultRule; seen: number }[] = []

  /** Adds a rule; call the result to take it back. */
  add(rule: FaultRule): () => void {
    const entry = { rule, seen: 0 }
    this.#rules.push(entry)
    return () => {
      const index = this.#rules.indexOf(entry)
      if (index >= 0) this.#rules.splice(index, 1)
    }
  }

  /** What shall go wrong with this request. Counts it, so ask once. */
  effectOn(request: RecordedRequest, body: string): FaultEffect | undefined {
    for (const entry of this.#rules) {
      const { service, method, path, body: content, after = 0, times = Infinity, then } = entry.rule
      if (service !== undefined && service !== request.service) continue
      if (method !== undefined && method !== request.method) continue
      if (path !== undefined && request.path.search(path) < 0) continue
      if (content !== undefined && body.search(content) < 0) continue
      entry.seen += 1
      if (entry.seen > after && entry.seen <= after + times) return then
    }
    return undefined
  }
}
