import fc from 'fast-check'
import { expect, test } from 'vitest'
import { admit, type Applicant, type Limits } from '../../lib/planner/admission.ts'
import { id, server } from '../support/builders.ts'

const limits: Limits = { maxInFlight: 3, maxInFlightPerHost: 2 }
const on = (n: number, host?: string) => server({ id: id(n), name: `web-${n}`, host })
const day = (n: number) => new Date(Date.UTC(2026, 10, n, 1))
const applicant = (n: number, { host, ...attributes }: Partial<Applicant> & { readonly host?: string } = {}): Applicant => ({
  server: on(n, host), schedule: 'daily/fleet', lastGood: day(10), startsAt: day(20), refused: false, stopped: false, ...attributes,
})
const listing = (...servers: ReturnType<typeof on>[]) => new Map(servers.map((one) => [one.id, one]))

test.each<[sentence: string, applicants: Applicant[], making: string[], admitted: number[], reasons: string[]]>([
  ['the stalest comes first, one without a good image before all, and no more than the limit', [applicant(1, { lastGood: day(12) }), applicant(2, { lastGood: day(11) }), applicant(3, { lastGood: day(13) }), applicant(4, { lastGood: undefined })], [], [4, 2, 1], ['as many images of this cloud are being made as max_in_flight allows (3)']],
  ['what is being made takes a slot', [applicant(1), applicant(2), applicant(3)], [id(8), id(9)], [1], Array<string>(2).fill('as many images of this cloud are being made as max_in_flight allows (3)')],
  ['of those that are as stale, the one that became due first', [applicant(1, { startsAt: day(21) }), applicant(2, { startsAt: day(20) })], [id(8), id(9)], [2], ['as many images of this cloud are being made as max_in_flight allows (3)']],
  ['two of one host, and one of another in place of the third', [applicant(1, { host: 'a' }), applicant(2, { host: 'a' }), applicant(3, { host: 'a' }), applicant(4, { host: 'b' })], [], [1, 2, 4], ['as many images of servers on its compute host are being made as max_in_flight_per_host allows (2)']],
  ['what is being made on a host counts there', [applicant(1, { host: 'a' }), applicant(2, { host: 'a' })], [id(7)], [1], ['as many images of servers on its compute host are being made as max_in_flight_per_host allows (2)']],
  ['a server on no known host is held by the limit of the cloud alone', [applicant(1), applicant(2), applicant(3)], [], [1, 2, 3], []],
  ['two schedules of one server take turns', [applicant(1), applicant(1, { schedule: 'daily/other' })], [], [1], ['another image of this server is being made']],
  ['a server whose image is being made already waits', [applicant(1), applicant(2)], [id(1)], [2], ['another image of this server is being made']],
  ['what is refused takes no slot, and waits for none', [applicant(1, { refused: true }), applicant(2, { refused: true }), applicant(3), applicant(4), applicant(5), applicant(6)], [], [1, 2, 3, 4, 5], ['as many images of this cloud are being made as max_in_flight allows (3)']],
])('%s', (_sentence, applicants, making, admitted, reasons) => {
  const plan = admit(applicants, { making, stopped: [] }, listing(on(7, 'a')), limits)
  expect(plan.admitted.map(({ server: { id: of } }) => of)).toEqual(admitted.map(id))
  expect(plan.waiting.map(({ reason }) => reason)).toEqual(reasons)
})

test('a server that was stopped for another image may be imaged as it is, but not by a schedule that would stop and start it', () => {
  const reasons = (stopped: boolean) => admit([applicant(1, { stopped })], { making: [], stopped: [id(1)] }, listing(), limits).waiting.map(({ reason }) => reason)
  expect(reasons(false)).toEqual([])
  expect(reasons(true)).toEqual(['the server was stopped for another image, and has not been seen running again'])
})

test('admission is a partition, within both limits, and does not depend on the order', () => {
  const anyApplicant = fc.record({ n: fc.nat(12), host: fc.constantFrom(undefined, 'a', 'b'), lastGood: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }), refused: fc.boolean() })
  fc.assert(
    fc.property(fc.uniqueArray(anyApplicant, { selector: ({ n }) => n }), fc.array(fc.integer({ min: 20, max: 25 }), { maxLength: 4 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), (drawn, busy, maxInFlight, maxInFlightPerHost) => {
      const applicants = drawn.map(({ n, host, lastGood, refused }) => applicant(n, { ...(host && { host }), lastGood: lastGood === undefined ? undefined : day(lastGood), refused }))
      const servers = listing(...applicants.map((one) => one.server), ...busy.map((n) => on(n, 'a')))
      const plan = admit(applicants, { making: busy.map(id), stopped: [] }, servers, { maxInFlight, maxInFlightPerHost })
      expect(new Set([...plan.admitted, ...plan.waiting.map((each) => each.applicant)])).toEqual(new Set(applicants))
      const asked = plan.admitted.filter(({ refused }) => !refused)
      expect(asked.length).toBeLessThanOrEqual(Math.max(0, maxInFlight - busy.length))
      const onA = asked.filter(({ server: { host } }) => host === 'a').length
      expect(onA === 0 || onA + busy.length <= maxInFlightPerHost).toBe(true)
      const again = admit(applicants.toReversed(), { making: busy.map(id), stopped: [] }, servers, { maxInFlight, maxInFlightPerHost })
      expect(again.admitted.map(({ server: { id: of } }) => of)).toEqual(plan.admitted.map(({ server: { id: of } }) => of))
    }),
  )
})
