import { afterEach, beforeEach, expect } from 'vitest'
import { startWorld, type World } from '../../demo/world.ts'
import { leaksIn } from './secrecy.ts'
import { serviceIn, type TestService } from './service.ts'

/** A fresh world, and the service in it, for each test of a file. */
export interface Fixture {
  world: World
  service: TestService
}

/**
 * Registers the hooks that build a world before each test of the file and look it through afterwards: whatever a test
 * did, no secret and no token may be in a log line, an event or a table.
 */
export function useWorld(options: Partial<Parameters<typeof startWorld>[0]> = {}): Fixture {
  const fixture = {} as Fixture
  beforeEach(async () => {
    fixture.world = await startWorld({ now: '2026-11-01T00:00:00Z', ...options })
    fixture.service = serviceIn(fixture.world)
  })
  afterEach(async () => {
    expect(await leaksIn(fixture.world)).toEqual([])
    await fixture.world.close()
  })
  return fixture
}
