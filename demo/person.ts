import type { World } from './world.ts'

/** A person with the usual tools, who knows nothing of this service. */
export interface Person {
  /** Boots a server from an image, and waits for nothing. @returns its id. */
  boot(name: string, image: string): Promise<string>
  act(server: string, body: Record<string, unknown>): Promise<Response>
  /** Makes an image by hand. @returns its id. */
  createImage(server: string, name: string): Promise<string>
  image(method: string, path: string, body?: unknown): Promise<Response>
  /** Makes a Cinder snapshot by hand. @returns its id. */
  snapshot(volume: string, name: string): Promise<string>
}

/** alice, by HTTP. */
export function personIn({ openstack, project }: World): Person {
  const domain = { id: 'default' }
  const login = {
    auth: {
      identity: { methods: ['password'], password: { user: { name: 'alice', domain, password: 'alice-password' } } },
      scope: { project: { name: 'alpha', domain } },
    },
  }
  const call = async (method: string, path: string, body?: unknown, contentType = 'application/json') => {
    // A token for each call: a simulated day lasts longer than one.
    const asked = await fetch(`${openstack.authUrl}/auth/tokens`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(login) })
    return fetch(openstack.url + path, {
      method,
      headers: { 'X-Auth-Token': asked.headers.get('x-subject-token')!, 'Content-Type': contentType, ...(path.startsWith('/compute') && { 'OpenStack-API-Version': 'compute 2.45' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  }
  const act: Person['act'] = (server, body) => call('POST', `/compute/v2.1/servers/${server}/action`, body)
  return {
    boot: async (name, image) => {
      const answer = await call('POST', '/compute/v2.1/servers', { server: { name, imageRef: image, flavorRef: 'lab.tiny', networks: 'none' } })
      const { server } = (await answer.json()) as { server: { id: string } }
      return server.id
    },
    act,
    createImage: async (server, name) => {
      const answer = await act(server, { createImage: { name } })
      const { image_id } = (await answer.json()) as { image_id: string }
      return image_id
    },
    image: (method, path, body) => call(method, `/image/v2/images/${path}`, body, method === 'PATCH' ? 'application/openstack-images-v2.1-json-patch' : undefined),
    snapshot: async (volume, name) => {
      const answer = await call('POST', `/volume/v3/${project.id}/snapshots`, { snapshot: { volume_id: volume, name, force: true } })
      const { snapshot } = (await answer.json()) as { snapshot: { id: string } }
      return snapshot.id
    },
  }
}
