import type { World } from '../../demo/world.ts'

/** A person with the usual tools, who knows nothing of this service and may be refused anything. */
export interface Person {
  boot(name: string, image: string, volumeBacked: boolean): Promise<Response>
  act(server: string, body: Readonly<Record<string, unknown>>): Promise<Response>
  deleteServer(id: string): Promise<Response>
  /** Adds, replaces or removes one attribute or property of an image. */
  patchImage(id: string, change: { readonly op: 'add' | 'replace' | 'remove'; readonly path: string; readonly value?: unknown }): Promise<Response>
  /** `deactivate` or `reactivate`. */
  switchImage(id: string, action: string): Promise<Response>
  deleteImage(id: string): Promise<Response>
  /** Makes an image with the same properties, by Glance's own means. */
  copyImage(id: string, unmarked: boolean): Promise<void>
  /** What the listing of the marked images says at this moment, as text. */
  listImages(): Promise<string>
  deleteVolumeSnapshot(id: string): Promise<Response>
}

/** The highest that the simulated Nova knows: with it a volume-backed server can be rebuilt. */
const microversion = 'compute 2.93'

/** alice, by HTTP. */
export function personIn({ openstack, project }: World): Person {
  const domain = { id: 'default' }
  const auth = {
    identity: { methods: ['password'], password: { user: { name: 'alice', domain, password: 'alice-password' } } },
    scope: { project: { name: 'alpha', domain } },
  }
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    // A token for each call: a simulated day lasts longer than one.
    const asked = await fetch(`${openstack.authUrl}/auth/tokens`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ auth }) })
    return fetch(openstack.url + path, {
      method,
      headers: { 'X-Auth-Token': asked.headers.get('x-subject-token')!, 'Content-Type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  }
  const nova = (method: string, path: string, body?: unknown) => call(method, `/compute/v2.1/servers${path}`, body, { 'OpenStack-API-Version': microversion })
  const glance = (method: string, path: string, body?: unknown, type?: string) => call(method, `/image/v2/images${path}`, body, type ? { 'Content-Type': type } : {})
  return {
    boot: (name, image, volumeBacked) =>
      nova('POST', '', { server: { name, imageRef: image, flavorRef: volumeBacked ? 'lab.nodisk' : 'lab.tiny', networks: 'none' } }),
    act: (server, body) => nova('POST', `/${server}/action`, body),
    deleteServer: (id) => nova('DELETE', `/${id}`),
    patchImage: (id, change) => glance('PATCH', `/${id}`, [change], 'application/openstack-images-v2.1-json-patch'),
    switchImage: (id, action) => glance('POST', `/${id}/actions/${action}`),
    deleteImage: (id) => glance('DELETE', `/${id}`),
    copyImage: async (id, unmarked) => {
      const { 'org.openstack__1__created_by': mark, ...properties } = openstack.images().find((image) => image.id === id)!.properties
      const made = await glance('POST', '', { ...properties, ...(!unmarked && { 'org.openstack__1__created_by': mark }), name: 'copy', disk_format: 'raw', container_format: 'bare', visibility: 'private' })
      if (!made.ok) return
      const copy = (await made.json()) as { id: string }
      await glance('PUT', `/${copy.id}/file`, 'bytes', 'application/octet-stream')
    },
    listImages: async () => {
      const answer = await glance('GET', `?limit=1000&owner=${project.id}&org.openstack__1__created_by=scheduled_images_service`)
      return answer.text()
    },
    deleteVolumeSnapshot: (id) => call('DELETE', `/volume/v3/${project.id}/snapshots/${id}`),
  }
}
