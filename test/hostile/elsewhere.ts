import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A host that is no part of the cloud: links and redirects lead to it, and nobody may ever come. */
export interface Elsewhere {
  readonly url: string
  /** How often somebody connected. */
  visitors: number
  close(): Promise<void>
}

export async function startElsewhere(): Promise<Elsewhere> {
  const server = createServer((_, response) => response.end('{}'))
  server.on('connection', () => (elsewhere.visitors += 1))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const elsewhere: Elsewhere = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    visitors: 0,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return elsewhere
}
