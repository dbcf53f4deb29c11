import { expect, test } from 'vitest'
import { errorMessage } from '../../lib/openstack/error-body.ts'

/** Bodies are verbatim answers of Nova, Glance, Cinder and Keystone of the Zed release. */
test.each<[sentence: string, body: string, message: string]>([
  ['Nova', '{"conflictingRequest": {"code": 409, "message": "Cannot \'createImage\' instance 0b35253a while it is in vm_state error"}}', "Cannot 'createImage' instance 0b35253a while it is in vm_state error"],
  ["Nova's fault, with a class that is no tag", '{"computeFault": {"code": 500, "message": "Unexpected API Error.\\n<class \'glanceclient.exc.HTTPOverLimit\'>"}}', "Unexpected API Error. <class 'glanceclient.exc.HTTPOverLimit'>"],
  ['Keystone', '{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}', 'The request you have made requires authentication.'],
  ['Glance, asked for JSON', '{"message": "You do not own this image<br /><br />\\n\\n\\n", "code": "403 Forbidden", "title": "Forbidden"}', 'You do not own this image'],
  ['case 59: Glance in HTML', '<html>\n <head>\n  <title>403 Forbidden</title>\n </head>\n <body>\n  <h1>403 Forbidden</h1>\n  Image a is protected &amp; can&#x27;t go.<br /><br />\n\n </body>\n</html>', "403 Forbidden Image a is protected & can't go."],
  ['nothing', '', ''],
  ['JSON without a message', '{"a": {"b": 1}}', ''],
  ['JSON that is no object', 'null', ''],
  ['text', 'upstream connect error', 'upstream connect error'],
])('%s', (_sentence, body, message) => {
  expect(errorMessage(body)).toBe(message)
})

test('a long body is cut to one line of 300 characters', () => {
  expect(errorMessage(`<p>${'x\n'.repeat(100_000)}</p>`)).toHaveLength(300)
})
