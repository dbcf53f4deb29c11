import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Service, WireRequest } from './answer.ts'
import { Refusal, keystoneFault, novaFault, page, pageAsJson } from './answer.ts'
import type { Cloud } from './cloud.ts'
import type { FaultAnswer, Faults, RecordedRequest, ServiceName } from './fault.ts'
import { DAEMON_OF } from './outage.ts'
import { actionName } from './server-action.ts'

/** Where each service lives on the one port, as devstack has it. */
const PREFIXES: readonly (readonly [prefix: string, name: ServiceName])[] = [
  ['/identity', 'identity'],
  ['/compute', 'compute'],
  ['/image', 'image'],
  ['/volume', 'block-storage'],
]

/** The log of requests, writable: the answer's status comes later than the entry. */
export type RequestLog = { -readonly [Key in keyof RecordedRequest]: RecordedRequest[Key] }[]

/** Connects HTTP with the services: reads a request, lets what is due happen, applies faults, writes the answer. */
export function listener(
  cloud: Cloud,
  services: Readonly<Record<ServiceName, Service>>,
  faults: Faults,
  log: RequestLog,
  onRequest: (request: RecordedRequest) => void = () => {},
): RequestListener {
  return (incoming, outgoing) => {
    // A client that goes away in mid-request is its own business.
    void serve(incoming, outgoing).catch(() => outgoing.destroy())
  }

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const found = PREFIXES.find(([prefix]) => (incoming.url ?? '').startsWith(prefix))
    if (found === undefined) {
      send(outgoing, page(404, 'The resource could not be found.'))
      return
    }
    const [prefix, name] = found
    const request = wireRequest(incoming, prefix, Buffer.concat(chunks).toString('utf8'), `req-${cloud.noise.uuid()}`)
    cloud.agenda.catchUp()
    const entry = record(name, request)
    log.push(entry)
    onRequest(entry)
    const effect = faults.effectOn(entry, request.body)
    if (effect === 'hang') return
    if (effect === 'reset' || cloud.outages.isDown(DAEMON_OF[name])) {
      cut(outgoing)
      return
    }
    const change: FaultAnswer = typeof effect === 'object' ? effect : {}
    if (change.delayMs !== undefined) {
      await sleep(change.delayMs)
      cloud.agenda.catchUp()
    }
    const said = change.status === undefined ? work(services[name], request) : spoken(name, change.status)
    const asJson = name === 'image' && said.status >= 400 && request.headers['accept'] === 'application/json'
    const answer = changed(asJson ? pageAsJson(said) : said, change)
    if (effect === 'lose-answer') {
      cut(outgoing)
      return
    }
    if (entry.action === 'createImage' && answer.status === 202) {
      // Nova has everything ready but the call to its compute node, which it cannot hand over (lab README §7).
      await new Promise<void>((resolve) => cloud.outages.whenUp('rabbit', resolve))
    }
    entry.status = answer.status
    const headers = {
      'x-openstack-request-id': request.requestId,
      ...((name === 'compute' || name === 'block-storage') && { 'x-compute-request-id': request.requestId }),
      ...(answer.status === 401 && { 'www-authenticate': `Keystone uri="${cloud.authUrl}"` }),
      ...answer.headers,
    }
    send(outgoing, { ...answer, headers }, change.truncateAt)
  }

  function record(service: ServiceName, request: WireRequest): RequestLog[number] {
    const { method, path, search, headers } = request
    const microversion = headers['openstack-api-version']
    const action = path.endsWith('/action') ? actionName(request.body) : undefined
    return {
      service,
      method,
      path: search === '' ? path : `${path}?${search}`,
      status: 0,
      ...(microversion !== undefined && { microversion }),
      ...(action !== undefined && { action }),
      at: new Date(cloud.agenda.now),
    }
  }
}

function wireRequest(incoming: IncomingMessage, prefix: string, body: string, requestId: string): WireRequest {
  const [path = '', search = ''] = (incoming.url ?? '').slice(prefix.length).split(/\?(.*)/s)
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = Array.isArray(value) ? value[0] : value
  return {
    method: incoming.method ?? 'GET',
    path: path === '' ? '/' : path,
    query: new URLSearchParams(search),
    search,
    headers,
    body,
    requestId,
  }
}

function work(service: Service, request: WireRequest): Answer {
  try {
    return service.answer(request)
  } catch (error) {
    if (error instanceof Refusal) return service.refuse(error)
    // A fault of the simulator's own must be seen as such, not be taken for a behaviour of OpenStack.
    return service.refuse(new Refusal(500, `simulator: ${error instanceof Error ? error.stack : String(error)}`))
  }
}

/** An error in the service's own format. */
function spoken(service: ServiceName, status: number): Answer {
  const message = 'oslab: failed on purpose'
  if (service === 'image') return page(status, message)
  return service === 'identity' ? keystoneFault(status, message) : novaFault(status, message)
}

function changed(answer: Answer, { body, headers }: FaultAnswer): Answer {
  const text = typeof body === 'object' ? JSON.stringify(body) : body
  return {
    status: answer.status,
    headers: {
      ...answer.headers,
      ...(typeof body === 'object' && { 'content-type': 'application/json' }),
      ...lower(headers),
    },
    body: text ?? answer.body,
  }
}

function lower(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function send(outgoing: ServerResponse, answer: Answer, truncateAt?: number): void {
  const body = Buffer.from(answer.body)
  const length = answer.status === 204 ? {} : { 'content-length': String(body.length) }
  outgoing.writeHead(answer.status, { ...length, ...answer.headers })
  if (truncateAt === undefined) {
    outgoing.end(body)
    return
  }
  outgoing.write(body.subarray(0, truncateAt), () => cut(outgoing))
}

function cut(outgoing: ServerResponse): void {
  outgoing.socket?.destroy()
}
