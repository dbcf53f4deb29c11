import { expect, test } from 'vitest'
import { useDesk } from '../support/cli.ts'

const desk = useDesk()
const addServer = (name = 'web-1') => desk.world.openstack.addServer(desk.world.project, { name }).id

test('enable, show and disable say what nova said', async () => {
  const id = addServer()
  expect(await desk.run(['enable', 'web-1', '7'])).toMatchObject({ code: 0, out: '' })
  expect(await desk.run(['show', 'web-1'])).toMatchObject({ code: 0, out: 'Schedule type: Daily\nRetention: 7' })
  expect(await desk.run(['enable', '--day-of-week', 'saturday', id, '8'])).toMatchObject({ code: 0, out: '' })
  expect(await desk.run(['show', id])).toMatchObject({ code: 0, out: 'Schedule type: Weekly on: SATURDAY\nRetention: 8' })
  expect(await desk.run(['disable', 'web-1'])).toMatchObject({ code: 0, out: '' })
  const gone = { code: 1, out: '', err: `ERROR (NotFound): Scheduled images not enabled for server ${id} (HTTP 404)` }
  expect(await desk.run(['show', 'web-1'])).toEqual(gone)
  expect(await desk.run(['disable', id])).toEqual(gone)
})
