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
  /** When it has been answered, with the work done. `lose` loses the answer. */
  after(call: Call): Promise<'deliver' | 'lose'>
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
    const hear = async (answer: IncomingMessage): Promise<void> => {
      if ((await this.#interposition.after(call)) === 'deliver') {
        emit('response', answer)
        return
      }
      answer.destroy()
      emit('error', connectionReset())
    }
    request.emit = ((event: string, ...args: unknown[]) => {
      if (event !== 'response') return emit(event, ...args)
      void hear(args[0] as IncomingMessage)
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
