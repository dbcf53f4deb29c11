/**
 * Invokes a packaged handler as Lambda's runtime does: `node invoke.ts HANDLER.mjs EVENT`. Prints the result as the last
 * line of standard output, after whatever the handler logged.
 */
import { pathToFileURL } from 'node:url'

const [file, event] = process.argv.slice(2) as [string, string]
const { handler } = (await import(pathToFileURL(file).href)) as { handler: (event: unknown, context: object) => Promise<unknown> }
const deadline = Date.now() + 300_000
const result = await handler(JSON.parse(event), { functionName: 'packaged', awsRequestId: 'local', getRemainingTimeInMillis: () => deadline - Date.now() })
process.stdout.write(`${JSON.stringify(result)}\n`)
