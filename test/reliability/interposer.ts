import { Agent, type ClientRequest, type IncomingMessage } from 'node:http'

/** One request of a process to the world outside it. */
export interface Call {
  /** `DynamoDB PutItem`, `POST /compute/v2.1/servers/…/action`: ids are left out, so that equal calls read the same. */
  readonly name: string
}

/** Stands between a process and every service that it calls. */
export interface Interposition {
  /** Before a call goes out. It goes out when this resolves; `reset` breaks it off instead, and a promise that never resolves holds it for ever. */
  before(call: Call): Promise<'send' | 'reset'>
  /** When it has been answered, with the work done, or its connection has failed. `lose` loses the answer. */
  after(call: Call): Promise<'deliver' | 'lose'>
  /** Before the process wakes up from waiting, by when its time has passed. A promise that never resolves lets it sleep for ever. */
  wait?(ms: number): Promise<void>
}

/** What Node calls for each request; not part of its types. */
interface RequestAdder {
  addRequest(request: ClientRequest, options: unknown): void
}

/** An HTTP agent that asks an {@link Interposition} about each request, and so sees every external call without knowing any. */
export class Interposer extends Agent {
  readonly #interposition: Interposition

  constructor(interposition: Interposition) {
    super({ keepAlive: true })
    this.#interposition = interposition
  }

  addRequest(request: ClientRequest, options: unknown): void {
    const call = { name: nameOf(request) }
    const emit = request.emit.bind(request) as (event: string, ...args: unknown[]) => boolean
    const send = async (): Promise<void> => {
      if ((await this.#interposition.before(call)) === 'reset') emit('error', connectionReset())
      else (Agent.prototype as unknown as RequestAdder).addRequest.call(this, request, options)
    }
    let heard = false
    const hear = async (event: string, args: unknown[]): Promise<void> => {
      heard = true
      if ((await this.#interposition.after(call)) === 'deliver') {
        emit(event, ...args)
        return
      }
      if (event === 'response') (args[0] as IncomingMessage).destroy()
      emit('error', connectionReset())
    }
    request.emit = ((event: string, ...args: unknown[]) => {
      if (heard || (event !== 'response' && event !== 'error')) return emit(event, ...args)
      void hear(event, args)
      return true
    }) as ClientRequest['emit']
    void send()
  }
}

function connectionReset(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
}

function nameOf(request: ClientRequest): string {
  const target = request.getHeader('x-amz-target')
  if (typeof target === 'string') return target.replace(/^(DynamoDB|AmazonSSM|AWSEvents)[^.]*\./, '$1 ')
  const path = request.path.replace(/\?.*/, '').replaceAll(/[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}/g, '…')
  return `${request.method} ${path}`
}
