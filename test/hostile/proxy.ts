import { createServer, request as send, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A request that came to the proxy. */
export interface Visit {
  readonly method: string
  /** With the service's prefix and the query: `/image/v2/images?limit=1000`. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: string | Buffer
}

/**
 * What becomes of one request. `work`: whether the cloud does it at all; `answer` makes another answer of the true one
 * (empty and 200 where no work was done); `end` is how its delivery ends, if not well.
 */
export interface Spoiled {
  readonly work: boolean
  answer(truth: Answer): Answer
  /** `drip`: one byte at a time, for ever. `cut`: half of what was announced. */
  readonly end?: 'reset' | 'hang' | 'drip' | 'cut' | undefined
}

/** Stands between the functions and the cloud: the catalog of its tokens leads back to it, so that it sees everything. */
export interface Proxy {
  readonly url: string
  readonly visits: readonly Visit[]
  /** Every token that Keystone gave out through it. */
  readonly tokens: ReadonlySet<string>
  /** Asked about each request; undefined lets request and answer through. */
  spoil: (visit: Visit) => Spoiled | undefined
  /** Told of each request that goes through to the cloud, just before it does. */
  watch: (visit: Visit) => void
  close(): Promise<void>
}

export async function startProxy(cloud: string): Promise<Proxy> {
  const visits: Visit[] = []
  const tokens = new Set<string>()
  const server = createServer((incoming, outgoing) => {
    void serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const visit: Visit = { method: incoming.method!, path: incoming.url!, headers: incoming.headers, body: body.toString() }
    visits.push(visit)
    const spoiled = proxy.spoil(visit)
    const truth = spoiled?.work === false ? { status: 200, headers: { 'content-type': 'application/json' }, body: '' } : await forward(visit, body)
    deliver(outgoing, spoiled ? spoiled.answer(truth) : truth, spoiled?.end)
  }

  async function forward(visit: Visit, body: Buffer): Promise<Answer> {
    proxy.watch(visit)
    const { host: _host, ...headers } = visit.headers
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      send(cloud + visit.path, { method: visit.method, headers }, resolve).on('error', reject).end(body)
    })
    const token = answer.headers['x-subject-token']
    if (typeof token === 'string') tokens.add(token)
    const { 'content-length': _length, connection: _connection, 'transfer-encoding': _encoding, ...rest } = answer.headers
    const home = (text: string) => text.replaceAll(cloud, url)
    return {
      status: answer.statusCode!,
      headers: Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, typeof value === 'string' ? home(value) : value!])),
      body: home((await buffer(answer)).toString()),
    }
  }

  const proxy: Proxy = {
    url,
    visits,
    tokens,
    spoil: () => undefined,
    watch: () => {},
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}

function deliver(outgoing: ServerResponse, { status, headers, body }: Answer, end: Spoiled['end']): void {
  if (end === 'hang') return
  if (end === 'reset') {
    outgoing.socket?.destroy()
    return
  }
  const bytes = status === 204 || status === 304 ? Buffer.alloc(0) : Buffer.from(body)
  if (end === 'drip') {
    outgoing.writeHead(status, { ...headers })
    const dripping = setInterval(() => outgoing.write(' '), 10)
    outgoing.on('close', () => clearInterval(dripping))
    return
  }
  outgoing.writeHead(status, { ...headers, ...(bytes.length > 0 && { 'content-length': bytes.length }) })
  if (end === 'cut') outgoing.write(bytes.subarray(0, bytes.length / 2), () => outgoing.socket?.destroy())
  else outgoing.end(bytes)
}
