// What the scripts have in common that send requests which no decent client sends, one at a time.
//
// They read one line of JSON from standard input:
//   issuer, advanced     servers of ours, or banks, under Baseline and under Advanced
//   client, signer, mtls client_id of three of their clients: at the first with private_key_jwt and DPoP; at the second so too;
//                        at the first with tls_client_auth and tokens bound to the certificate
//   key, rsaKey          private JWKs of the clients: ES256, and RSA without alg
//   redirectURI, api, apiMTLS
//   tls                  {ca, cert, key}; the client's certificate
//   otherTLS             one with another name
// They write {"results": [{"name", "status", "error", "nonce"}, …]}. error is that of the body, of the WWW-Authenticate header, or
// of a page for people.
import * as dpop from 'dpop'
import * as jose from 'jose'
import * as crypto from 'node:crypto'
import { Agent, request } from 'undici'
import { firstLine } from './input.mjs'

export const config = JSON.parse(await firstLine({ stay: true }))
const agent = ({ ca, cert, key }) => new Agent({ connect: { ca, cert, key } })
export const plain = agent({ ca: config.tls.ca })
export const own = agent(config.tls)
export const other = agent(config.otherTLS)

export const key = await jose.importJWK(config.key, 'ES256')
export const rsaPKCS1 = await jose.importJWK(config.rsaKey, 'RS256')
export const publicPEM = new TextEncoder().encode(crypto.createPublicKey({ key: config.key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))
export const stranger = (await jose.generateKeyPair('ES256')).privateKey
export const pair = await dpop.generateKeyPair('ES256', { extractable: true })
export const otherPair = await dpop.generateKeyPair('ES256', { extractable: true })
export const rsaPair = await dpop.generateKeyPair('RS256', { extractable: true })
export const proofJWK = await jose.exportJWK(pair.publicKey)
export const privateProofJWK = await jose.exportJWK(pair.privateKey)

const discover = async (issuer) => (await request(`${issuer}/.well-known/openid-configuration`, { dispatcher: plain })).body.json()
export const server = await discover(config.issuer)
export const advanced = await discover(config.advanced)

export const now = () => Math.floor(Date.now() / 1000)
export const id = () => crypto.randomUUID()
export const results = []

// ---- sending

export async function send(url, { method = 'POST', headers = [], form, body, type = 'application/x-www-form-urlencoded', dispatcher = plain }) {
  const all = [...headers]
  if (form || body) all.push('content-type', type)
  const response = await request(url, { method, dispatcher, headers: all, body: form ? new URLSearchParams(form).toString() : body })
  const text = await response.body.text()
  const challenge = [response.headers['www-authenticate'] ?? []].flat().join(', ')
  let document
  try { document = JSON.parse(text) } catch { document = {} }
  const page = /<code id="error">([^<]*)</.exec(text)?.[1]
  return { status: response.statusCode, error: document.error ?? /error="([^"]*)"/.exec(challenge)?.[1] ?? page ?? '', nonce: response.headers['dpop-nonce'], location: response.headers.location, document }
}

// test keeps what an answer says, and returns its document.
export async function test(name, f) {
  const { status, error, nonce, document } = await f()
  results.push({ name, status, error, nonce: !!nonce })
  return document
}

// ---- client assertions

// signed makes a JWT: a claim or header that is undefined is not there.
export async function signed(claims, header, by = key) {
  if (header.alg === 'none') return [header, claims].map((part) => jose.base64url.encode(JSON.stringify(part))).join('.') + '.'
  return new jose.SignJWT(claims).setProtectedHeader(JSON.parse(JSON.stringify(header))).sign(by)
}

export function assertion(change = {}, header = {}, by = key, client = config.client, audience = server.issuer) {
  const claims = { iss: client, sub: client, aud: audience, jti: id(), iat: now(), exp: now() + 60, ...change }
  return signed(JSON.parse(JSON.stringify(claims)), { alg: 'ES256', kid: config.key.kid, ...header }, by)
}

export const authenticated = async (a = assertion()) => [
  ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'], ['client_assertion', await a],
]

// ---- pushed authorization requests

export const wish = (change = {}) => Object.entries({
  client_id: config.client, response_type: 'code', redirect_uri: config.redirectURI, scope: 'accounts', state: id(),
  code_challenge: crypto.createHash('sha256').update(id()).digest('base64url'), code_challenge_method: 'S256', ...change,
}).filter(([, value]) => value !== undefined)

export const push = async ({ a, change, more = [], ...rest } = {}) =>
  send(server.pushed_authorization_request_endpoint, { form: [...wish(change), ...(await authenticated(a)), ...more], ...rest })
