import * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'
import type { ServiceName } from './config.ts'
import type { Session } from './session.ts'

/** More pages than any project has; a cloud that goes on for longer is going in circles. */
const mostPages = 10_000

/** Nova's and Cinder's way to say where the next page is. */
export const linksSchema = z.array(z.object({ rel: z.string(), href: z.string() })).default([])

export function nextOf(links: z.output<typeof linksSchema>): string | undefined {
  return links.find(({ rel }) => rel === 'next')?.href
}

/**
 * Reads a listing from its first page to its last. It is never cut silently, since what is missing from a listing would be
 * taken for deleted: it is complete, or it is an error.
 *
 * @param first - The path of the first page, after the service's URL.
 * @param headers - Sent with the request for each page.
 * @throws ScheduledImagesError `ANSWER_INVALID` for pages that go in circles or lead elsewhere.
 */
export async function readPages<Page extends { next?: string | undefined }>(
  session: Session,
  service: ServiceName,
  first: string,
  schema: z.ZodType<Page>,
  what: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Page[]> {
  const pages: Page[] = []
  const visited = new Set<string>()
  for (let path: string | undefined = first; path !== undefined; ) {
    if (visited.has(path) || visited.size >= mostPages) {
      throw new ScheduledImagesError('ANSWER_INVALID', `${what} does not end: page ${visited.size + 1} leads to one that was seen before.`)
    }
    visited.add(path)
    const page: Page = await session.get(service, path, schema, { what, headers })
    pages.push(page)
    path = page.next === undefined ? undefined : nextPath(page.next, first, what)
  }
  return pages
}

/**
 * Glance's links are relative to its root (`/v2/images?marker=…`), Nova's are whole, and either may carry a host or a
 * prefix that only the inside of the cloud knows. So only the query is taken, and the request goes where the first one
 * went: a token never follows a link.
 */
function nextPath(link: string, first: string, what: string): string {
  const resource = first.replace(/\?.*/, '')
  const [path = '', query = ''] = link.split('?')
  if (!path.endsWith(resource) || !new URLSearchParams(query).has('marker')) {
    throw new ScheduledImagesError('ANSWER_INVALID', `${what} was answered with a link to a next page that leads elsewhere.`)
  }
  return `${resource}?${query}`
}
