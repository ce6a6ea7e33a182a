// Requests that no decent client sends, made with jose and dpop: see requests.mjs.
import * as dpop from 'dpop'
import { lastLine } from './input.mjs'
import {
  advanced, assertion, authenticated, config, id, key, now, other, otherPair, own, pair, plain, privateProofJWK, proofJWK, publicPEM, push, results, rsaPair,
  rsaPKCS1, send, server, signed, stranger, test, wish,
} from './requests.mjs'

// ---- pushed authorization requests

await test('push: good', () => push())
const keyCases = [
  ['RS256', () => assertion({}, { alg: 'RS256', kid: config.rsaKey.kid }, rsaPKCS1)],
  ['none', () => assertion({}, { alg: 'none' })],
  ['HS256 with the public key', () => assertion({}, { alg: 'HS256' }, publicPEM)],
  ['another key', () => assertion({}, {}, stranger)],
  ['aud an array', () => assertion({ aud: [server.issuer] })],
  ['aud the endpoint', () => assertion({ aud: server.pushed_authorization_request_endpoint })],
  ['aud the token endpoint', () => assertion({ aud: server.token_endpoint })],
  ['aud the issuer with a slash', () => assertion({ aud: `${server.issuer}/` })],
  ['another sub', () => assertion({ sub: 'someone-else' })],
  ['no sub', () => assertion({ sub: undefined })],
  ['no exp', () => assertion({ exp: undefined })],
  ['no jti', () => assertion({ jti: undefined })],
  ['expired', () => assertion({ iat: now() - 600, exp: now() - 300 })],
  ['from the future', () => assertion({ iat: now() + 120, exp: now() + 180 })],
  ['good for a year', () => assertion({ exp: now() + 31536000 })],
  ['an unknown client', () => assertion({ iss: 'nobody', sub: 'nobody' })],
  ['a proof in its place', () => dpop.generateProof(pair, server.token_endpoint, 'POST')],
]
for (const [name, a] of keyCases) await test(`assertion: ${name}`, () => push({ a: a() }))
const once = await assertion()
await push({ a: once })
await test('assertion: jti again', () => push({ a: once }))
await test('assertion: none at all', () => send(server.pushed_authorization_request_endpoint, { form: wish() }))
await test('assertion: twice', async () => push({ more: await authenticated() }))
await test('assertion: a secret beside', () => push({ more: [['client_secret', 'x']] }))
await test('assertion: another client_id', () => push({ change: { client_id: 'someone-else' } }))

await test('push: request_uri', () => push({ change: { request_uri: 'urn:x' } }))
await test('push: response_type token', () => push({ change: { response_type: 'token' } }))
await test('push: no response_type', () => push({ change: { response_type: undefined } }))
await test('push: no code_challenge', () => push({ change: { code_challenge: undefined } }))
await test('push: plain', () => push({ change: { code_challenge_method: 'plain' } }))
await test('push: a challenge of 42 characters', () => push({ change: { code_challenge: 'x'.repeat(42) } }))
await test('push: no redirect_uri', () => push({ change: { redirect_uri: undefined } }))
await test('push: redirect_uri that is not registered', () => push({ change: { redirect_uri: 'https://attacker.example/' } }))
await test('push: state twice', () => push({ more: [['state', 'x']] }))
await test('push: response_mode fragment', () => push({ change: { response_mode: 'fragment' } }))
await test('push: an unknown scope', () => push({ change: { scope: 'everything' } }))
await test('push: a malformed dpop_jkt', () => push({ change: { dpop_jkt: 'x' } }))
await test('push: JSON', () => push({ form: undefined, body: '{}', type: 'application/json' }))
await test('push: multipart', () => push({ form: undefined, body: '--x--\r\n', type: 'multipart/form-data; boundary=x' }))
await test('push: GET', () => send(server.pushed_authorization_request_endpoint, { method: 'GET' }))

// ---- proofs at the token endpoint

const token = async ({ headers = [], change = {}, ...rest } = {}) =>
  send(server.token_endpoint, { form: [...Object.entries({ grant_type: 'client_credentials', scope: 'accounts', ...change }), ...(await authenticated())], headers, ...rest })
let nonce

function proof(change = {}, header = {}, by = pair.privateKey) {
  const claims = { jti: id(), htm: 'POST', htu: server.token_endpoint, iat: now(), nonce, ...change }
  return signed(JSON.parse(JSON.stringify(claims)), { typ: 'dpop+jwt', alg: 'ES256', jwk: proofJWK, ...header }, by)
}
const proved = async (p) => token({ headers: ['dpop', await p] })

await test('proof: no nonce', async () => {
  const answer = await proved(dpop.generateProof(pair, server.token_endpoint, 'POST'))
  nonce = answer.nonce
  return answer
})
const { access_token } = await test('proof: good', () => proved(dpop.generateProof(pair, server.token_endpoint, 'POST', nonce)))
const proofCases = [
  ['another nonce', () => proof({ nonce: 'x' })],
  ['a private jwk', () => proof({}, { jwk: privateProofJWK })],
  ['no jwk', () => proof({}, { jwk: undefined, kid: 'x' })],
  ['a symmetric jwk', () => proof({}, { jwk: { kty: 'oct', k: 'AQAB' } })],
  ['htm in lower case', () => dpop.generateProof(pair, server.token_endpoint, 'post', nonce)],
  ['htm GET', () => dpop.generateProof(pair, server.token_endpoint, 'GET', nonce)],
  ['no htm', () => proof({ htm: undefined })],
  ['another htu', () => dpop.generateProof(pair, server.pushed_authorization_request_endpoint, 'POST', nonce)],
  ['htu with a slash', () => proof({ htu: `${server.token_endpoint}/` })],
  ['no htu', () => proof({ htu: undefined })],
  ['an hour old', () => proof({ iat: now() - 3600 })],
  ['from the future', () => proof({ iat: now() + 120 })],
  ['no iat', () => proof({ iat: undefined })],
  ['no jti', () => proof({ jti: undefined })],
  ['an empty jti', () => proof({ jti: '' })],
  ['a jti that is a number', () => proof({ jti: 1 })],
  ['typ JWT', () => proof({}, { typ: 'JWT' })],
  ['no typ', () => proof({}, { typ: undefined })],
  ['RS256', () => dpop.generateProof(rsaPair, server.token_endpoint, 'POST', nonce)],
  ['HS256', () => proof({}, { alg: 'HS256' }, publicPEM)],
  ['none', () => proof({}, { alg: 'none' })],
  ['another key', () => proof({}, {}, stranger)],
  ['no JWT', () => 'x'],
  ['empty', () => ''],
]
for (const [name, p] of proofCases) await test(`proof: ${name}`, () => proved(p()))
await test('proof: none at all', () => token())
await test('proof: two', async () => token({ headers: ['dpop', await proof(), 'dpop', await proof()] }))
await test('proof: an empty one before', async () => token({ headers: ['dpop', '', 'dpop', await proof()] }))
const spent = await proof()
await proved(spent)
await test('proof: jti again', () => proved(spent))

const asking = async (change) => token({ headers: ['dpop', await proof()], change })
await test('token: the password grant', () => asking({ grant_type: 'password', username: 'alice', password: 'x' }))
await test("token: nobody's code", () => asking({ grant_type: 'authorization_code', code: 'x'.repeat(43), redirect_uri: config.redirectURI, code_verifier: 'x'.repeat(43) }))
await test("token: nobody's refresh token", () => asking({ grant_type: 'refresh_token', refresh_token: 'x'.repeat(43) }))
await test('token: an unknown scope', () => asking({ scope: 'everything' }))
await test('token: an unknown resource', () => asking({ resource: 'https://attacker.example' }))

// ---- the API

const call = async (authorization, p, { url = config.api, more = [], ...rest } = {}) => {
  const headers = [...more]
  if (authorization) headers.push('authorization', authorization)
  if (p !== undefined) headers.push('dpop', await p)
  return send(url, { method: 'GET', headers, ...rest })
}
const bound = `DPoP ${access_token}`
const forAPI = (n, t = access_token, p = pair, method = 'GET', url = config.api) => dpop.generateProof(p, url, method, n, t)
let apiNonce
await test('api: no nonce', async () => {
  const answer = await call(bound, forAPI())
  apiNonce = answer.nonce
  return answer
})
const used = await forAPI(apiNonce)
await test('api: good', () => call(bound, used))
await test('api: good with dpop in lower case', () => call(`dpop ${access_token}`, forAPI(apiNonce)))
await test('api: jti again', () => call(bound, used))
await test('api: no ath', () => call(bound, dpop.generateProof(pair, config.api, 'GET', apiNonce)))
await test('api: ath of another token', () => call(bound, forAPI(apiNonce, 'x')))
await test('api: htm in lower case', () => call(bound, forAPI(apiNonce, access_token, pair, 'get')))
await test('api: another htu', () => call(bound, forAPI(apiNonce, access_token, pair, 'GET', `${config.api}/`)))
await test('api: another key', () => call(bound, forAPI(apiNonce, access_token, otherPair)))
await test('api: no proof', () => call(bound))
await test('api: two proofs', async () => call(bound, forAPI(apiNonce), { more: ['dpop', await forAPI(apiNonce)] }))
await test('api: as a bearer token', () => call(`Bearer ${access_token}`))
await test('api: as a bearer token with a proof', () => call(`Bearer ${access_token}`, forAPI(apiNonce)))
await test('api: a changed token', () => {
  const at = access_token.indexOf('.') + 10
  const changed = access_token.slice(0, at) + (access_token[at] === 'A' ? 'B' : 'A') + access_token.slice(at + 1)
  return call(`DPoP ${changed}`, forAPI(apiNonce, changed))
})
await test('api: the token in the query', () => call(undefined, undefined, { url: `${config.api}?access_token=${access_token}` }))
await test('api: no token', () => call())

// ---- signed requests

const requestObject = (change = {}, header = {}, by = key) => signed(JSON.parse(JSON.stringify({
  iss: config.signer, aud: advanced.issuer, nbf: now(), exp: now() + 300, jti: id(), ...Object.fromEntries(wish({ client_id: config.signer, response_mode: 'jwt' })), ...change,
})), { typ: 'oauth-authz-req+jwt', alg: 'ES256', kid: config.key.kid, ...header }, by)

const pushSigned = async (object, more = []) => send(advanced.pushed_authorization_request_endpoint, {
  form: [['client_id', config.signer], ['request', await object], ...more, ...(await authenticated(assertion({}, {}, key, config.signer, advanced.issuer)))],
})

await test('request object: good', () => pushSigned(requestObject()))
await test('request object: good without typ', () => pushSigned(requestObject({}, { typ: undefined })))
const objectCases = [
  ['RS256', () => requestObject({}, { alg: 'RS256', kid: config.rsaKey.kid }, rsaPKCS1)],
  ['none', () => requestObject({}, { alg: 'none' })],
  ['HS256', () => requestObject({}, { alg: 'HS256' }, publicPEM)],
  ['another key', () => requestObject({}, {}, stranger)],
  ['another iss', () => requestObject({ iss: 'someone-else' })],
  ['another aud', () => requestObject({ aud: 'https://attacker.example' })],
  ['no aud', () => requestObject({ aud: undefined })],
  ['no exp', () => requestObject({ exp: undefined })],
  ['no nbf', () => requestObject({ nbf: undefined })],
  ['good for two hours', () => requestObject({ exp: now() + 7200 })],
  ['two hours old', () => requestObject({ nbf: now() - 7200, exp: now() - 3700 })],
  ['from the future', () => requestObject({ nbf: now() + 120, exp: now() + 300 })],
  ['request_uri inside', () => requestObject({ request_uri: 'urn:x' })],
  ['request inside', () => requestObject({ request: 'x' })],
  ['another client_id', () => requestObject({ client_id: 'someone-else' })],
  ['no code_challenge', () => requestObject({ code_challenge: undefined })],
  ['response_type token', () => requestObject({ response_type: 'token' })],
  ['no redirect_uri', () => requestObject({ redirect_uri: undefined })],
]
for (const [name, object] of objectCases) await test(`request object: ${name}`, () => pushSigned(object()))
await test('request object: no response_mode', () => pushSigned(requestObject({ response_mode: undefined })))
await test('request object: missing', async () => send(advanced.pushed_authorization_request_endpoint, {
  form: [...wish({ client_id: config.signer, response_mode: 'jwt' }), ...(await authenticated(assertion({}, {}, key, config.signer, advanced.issuer)))],
}))

// ---- certificates

const aliases = server.mtls_endpoint_aliases
const certified = (dispatcher, url = aliases.token_endpoint) =>
  send(url, { form: { grant_type: 'client_credentials', scope: 'accounts', client_id: config.mtls }, dispatcher })
const { access_token: certificateBound } = await test('certificate: good', () => certified(own))
await test('certificate: none', () => certified(plain))
await test('certificate: with another name', () => certified(other))
await test('certificate: at the endpoint that asks for none', () => certified(own, server.token_endpoint))
const withToken = (dispatcher, scheme = 'Bearer') => call(`${scheme} ${certificateBound}`, undefined, { url: config.apiMTLS, dispatcher })
await test('certificate: good at the API', () => withToken(own))
await test('certificate: none at the API', () => withToken(plain))
await test('certificate: another one at the API', () => withToken(other))
await test('certificate: the DPoP scheme at the API', () => withToken(own, 'DPoP'))

lastLine({ results })
