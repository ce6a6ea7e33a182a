// Requests that no decent client sends to the endpoints that the bank has and a bare authorization server has not, and with
// codes and tokens of a user: see requests.mjs for what it reads and writes. It reads also:
//   another, server   client_id of another client like the first, and of the server of the API
//   payment           authorization details with a payment
import * as dpop from 'dpop'
import * as crypto from 'node:crypto'
import { URL } from 'node:url'
import { lastLine } from './input.mjs'
import { assertion, authenticated, config, id, key, otherPair, other, own, pair, plain, results, send, server, test, wish } from './requests.mjs'

// Nonces as each endpoint has sent them last.
const nonces = new Map()

// proved sends a request with a proof, and once more if the server has another nonce in mind.
async function proved(url, { by = pair, token, method = 'POST', scheme = 'DPoP', proofURL = url, headers = [], form, ...rest } = {}) {
  const { origin, pathname } = new URL(url)
  const at = origin + pathname.replace(/^(\/grants)\/.*/, '$1')
  const once = async () => {
    const proof = await dpop.generateProof(by, proofURL, method, nonces.get(at), token)
    const all = [...headers, 'dpop', proof, ...(token ? ['authorization', `${scheme} ${token}`] : [])]
    const answer = await send(url, { method, headers: all, form: typeof form === 'function' ? await form() : form, ...rest })
    if (answer.nonce) nonces.set(at, answer.nonce)
    return answer
  }
  const answer = await once()
  return answer.error === 'use_dpop_nonce' ? once() : answer
}

const login = (client) => authenticated(assertion({}, {}, key, client))
const post = async (url, form, client = config.client, rest = {}) => send(url, { form: [...Object.entries(form), ...(client ? await login(client) : [])], ...rest })

// authorize has the user agree, and returns what redeems the code.
async function authorize(change = {}, client = config.client) {
  const verifier = id() + id()
  const code_challenge = crypto.createHash('sha256').update(verifier).digest('base64url')
  const pushed = await send(server.pushed_authorization_request_endpoint, { form: [...wish({ client_id: client, scope: 'openid accounts', code_challenge, ...change }), ...(await login(client))] })
  if (pushed.status !== 201) throw new Error(`no request: ${JSON.stringify(pushed)}`)
  const { location } = await visit({ client_id: client, request_uri: pushed.document.request_uri })
  const code = new URL(location).searchParams.get('code')
  return { grant_type: 'authorization_code', code, redirect_uri: config.redirectURI, code_verifier: verifier, request_uri: pushed.document.request_uri }
}
const visit = (query, rest) => send(`${server.authorization_endpoint}?${new URLSearchParams(query)}`, { method: 'GET', ...rest })
const redeem = ({ request_uri, ...form }, client = config.client, rest = {}) =>
  proved(server.token_endpoint, { form: async () => [...Object.entries(form), ...(await login(client))], ...rest })
const refresh = (refresh_token, change = {}, client = config.client, rest = {}) => redeem({ grant_type: 'refresh_token', refresh_token, ...change }, client, rest)
const tokens = async (change, client) => (await redeem(await authorize(change, client), client)).document
const get = (url, token, rest = {}) => proved(url, { method: 'GET', token, ...rest })

// ---- the authorization endpoint

const used = await authorize()
await test('authorize: no request_uri', () => visit({ client_id: config.client }))
await test('authorize: parameters in place of a request_uri', () => visit(wish()))
await test('authorize: an unknown request_uri', () => visit({ client_id: config.client, request_uri: 'urn:ietf:params:oauth:request_uri:x' }))
await test('authorize: a request_uri once more', () => visit({ client_id: config.client, request_uri: used.request_uri }))
const fresh = await send(server.pushed_authorization_request_endpoint, { form: [...wish(), ...(await login())] })
await test("authorize: another client's request_uri", () => visit({ client_id: config.another, request_uri: fresh.document.request_uri }))
await test('authorize: two client_ids', () => visit([['client_id', config.client], ['client_id', config.client], ['request_uri', fresh.document.request_uri]]))
await test('authorize: where certificates are asked for', () => send(`${new URL(server.mtls_endpoint_aliases.token_endpoint).origin}/authorize`, { method: 'GET' }))
await test('authorize: good', () => visit({ client_id: config.client, request_uri: fresh.document.request_uri, state: 'x', scope: 'payments', redirect_uri: 'https://attacker.example' }))

// ---- codes

const grant = await authorize({ dpop_jkt: await dpop.calculateThumbprint(pair.publicKey) })
await test('code: by another client', () => redeem(grant, config.another))
await test('code: another verifier', () => redeem({ ...grant, code_verifier: id() + id() }))
await test('code: no verifier', () => redeem(Object.fromEntries(Object.entries(grant).filter(([name]) => name !== 'code_verifier'))))
await test('code: another redirect_uri', () => redeem({ ...grant, redirect_uri: 'https://attacker.example/' }))
await test('code: another key than that of dpop_jkt', () => redeem(grant, config.client, { by: otherPair }))
await test('code: no proof', () => post(server.token_endpoint, grant))
await test('code: no authentication', () => proved(server.token_endpoint, { form: Object.entries(grant) }))
await test('code: twice in one form', () => proved(server.token_endpoint, { form: async () => [...Object.entries(grant), ['code', grant.code], ...(await login())] }))
const fromCode = await test('code: good after all that', () => redeem(grant))
await test('code: again', () => redeem(grant))
await test('code: its token when it has come again', () => get(config.api, fromCode.access_token))
await test('code: its refresh token when it has come again', () => refresh(fromCode.refresh_token))

// ---- refresh tokens

const mine = await tokens()
const others = await tokens({}, config.another)
await test('refresh: by another client', () => refresh(mine.refresh_token, {}, config.another))
await test('refresh: no authentication', () => proved(server.token_endpoint, { form: Object.entries({ grant_type: 'refresh_token', refresh_token: mine.refresh_token }) }))
await test('refresh: no proof', () => post(server.token_endpoint, { grant_type: 'refresh_token', refresh_token: mine.refresh_token }))
await test('refresh: more scope', () => refresh(mine.refresh_token, { scope: 'openid accounts payments' }))
await test('refresh: details that were not granted', () => refresh(mine.refresh_token, { authorization_details: JSON.stringify(config.payment) }))
await test('refresh: an access token', () => refresh(mine.access_token))
await test('refresh: good with another key', () => refresh(mine.refresh_token, {}, config.client, { by: otherPair }))
await test('refresh: good with less scope', () => refresh(mine.refresh_token, { scope: 'accounts' }))

// ---- authorization details

const detailed = async (details, change = {}, client = config.client) => send(server.pushed_authorization_request_endpoint, {
  form: [...wish({ client_id: client, scope: 'openid payments', authorization_details: typeof details === 'string' ? details : JSON.stringify(details), ...change }), ...(await login(client))],
})
const [order] = config.payment
const written = JSON.stringify(config.payment)
for (const [name, details] of [
  ['an unknown type', [{ type: 'everything' }]], ['a type that is not registered', [{ type: 'funds_confirmation' }]], ['no type', [{}]], ['Type', [{ ...order, type: undefined, Type: order.type }]],
  ['no array', order], ['no objects', ['x']], ['null', 'null'], ['no JSON', 'x'], ['two arrays', written + '[]'], ['an unknown member', [{ ...order, urgent: true }]],
  ['an amount that is a number', [{ ...order, instructedAmount: { currency: 'EUR', amount: 12.34 } }]], ['no amount', [{ ...order, instructedAmount: undefined }]],
  ['the amount twice', written.replace('"amount"', '"amount":"1","amount"')], ['a negative amount', written.replace('12.34', '-12.34')],
]) await test(`details: ${name}`, () => detailed(details))
await test('details: good', () => detailed(config.payment))

// ---- payments

const payer = await tokens({ scope: 'payments', authorization_details: written })
const payments = new URL('/payments', config.api).href
const pay = (body, { token = payer.access_token, ...rest } = {}) =>
  proved(payments, { token, body: typeof body === 'string' ? body : JSON.stringify(body), type: 'application/json', ...rest })
await test('payment: no token', () => send(payments, { body: JSON.stringify(order), type: 'application/json' }))
await test('payment: a token without details', () => pay(order, { token: mine.access_token }))
await test('payment: more', () => pay({ ...order, instructedAmount: { currency: 'EUR', amount: '12.35' } }))
await test('payment: less', () => pay({ ...order, instructedAmount: { currency: 'EUR', amount: '12.33' } }))
await test('payment: another currency', () => pay({ ...order, instructedAmount: { currency: 'USD', amount: '12.34' } }))
await test('payment: another payee', () => pay({ ...order, creditorName: 'Eve' }))
await test('payment: two', () => pay([order, order]))
await test('payment: no JSON', () => pay('x'))
await test('payment: the amount twice', () => pay(JSON.stringify(order).replace('"amount"', '"amount":"1","amount"')))
await test('payment: too long', () => pay(' '.repeat(20000) + JSON.stringify(order)))
await test('payment: GET', () => get(payments, payer.access_token))
await test('payment: a proof for the accounts', () => pay(order, { proofURL: config.api }))
await test('payment: accounts with the payment\'s token', () => get(config.api, payer.access_token))
await test('payment: good', () => pay(order))
await test('payment: good once more', () => pay(order))

// ---- user information

const { userinfo_endpoint: userinfo } = server
await test('userinfo: good', () => get(userinfo, mine.access_token))
await test('userinfo: good by POST', () => proved(userinfo, { token: mine.access_token, form: [] }))
await test('userinfo: no token', () => send(userinfo, { method: 'GET' }))
await test('userinfo: the token in the query', () => send(`${userinfo}?access_token=${mine.access_token}`, { method: 'GET' }))
await test('userinfo: the token in the body', () => proved(userinfo, { form: { access_token: mine.access_token } }))
await test('userinfo: a token without openid', () => get(userinfo, payer.access_token))
await test('userinfo: a refresh token', () => get(userinfo, mine.refresh_token))
await test('userinfo: as a bearer token', () => send(userinfo, { method: 'GET', headers: ['authorization', `Bearer ${mine.access_token}`] }))
await test('userinfo: as a bearer token with a proof', () => get(userinfo, mine.access_token, { scheme: 'Bearer' }))
await test('userinfo: no proof', () => send(userinfo, { method: 'GET', headers: ['authorization', `DPoP ${mine.access_token}`] }))
await test('userinfo: a proof for the API', () => get(userinfo, mine.access_token, { proofURL: config.api }))
await test('userinfo: another key', () => get(userinfo, mine.access_token, { by: otherPair }))
await test('userinfo: PUT', () => proved(userinfo, { method: 'PUT', token: mine.access_token }))
const aliases = server.mtls_endpoint_aliases
const certified = { dispatcher: own }
const boundRequest = await (async () => {
  const verifier = id() + id()
  const form = wish({ client_id: config.mtls, scope: 'openid accounts', code_challenge: crypto.createHash('sha256').update(verifier).digest('base64url') })
  const pushed = await send(aliases.pushed_authorization_request_endpoint, { form, ...certified })
  const { location } = await visit({ client_id: config.mtls, request_uri: pushed.document.request_uri })
  return { client_id: config.mtls, grant_type: 'authorization_code', code: new URL(location).searchParams.get('code'), redirect_uri: config.redirectURI, code_verifier: verifier }
})()
await test('certificate: none for a code', () => send(aliases.token_endpoint, { form: boundRequest }))
await test('certificate: another one for a code', () => send(aliases.token_endpoint, { form: boundRequest, dispatcher: other }))
const bound = await test('certificate: good for a code', () => send(aliases.token_endpoint, { form: boundRequest, ...certified }))
const asBearer = (dispatcher, url = aliases.userinfo_endpoint) => send(url, { method: 'GET', dispatcher, headers: ['authorization', `Bearer ${bound.access_token}`] })
await test('certificate: good at userinfo', () => asBearer(own))
await test('certificate: none at userinfo', () => asBearer(plain))
await test('certificate: another one at userinfo', () => asBearer(other))
await test('certificate: userinfo where none is asked for', () => asBearer(own, userinfo))

// ---- introspection

const introspect = async (form, client = config.server, rest) => {
  const answer = await post(server.introspection_endpoint, form, client, rest)
  return { ...answer, error: answer.error || (answer.document.active === undefined ? '' : `active ${answer.document.active}`) }
}
await test('introspect: good', () => introspect({ token: mine.access_token }))
await test('introspect: by a client that serves no API', () => introspect({ token: mine.access_token }, config.client))
await test('introspect: a refresh token', () => introspect({ token: mine.refresh_token }))
await test('introspect: nonsense', () => introspect({ token: 'x' }))
await test('introspect: no token', () => introspect({}))
await test('introspect: no authentication', () => introspect({ token: mine.access_token }, null))
await test('introspect: GET', () => send(`${server.introspection_endpoint}?token=x`, { method: 'GET' }))

// ---- grants

const { grant_management_endpoint: grants } = server
const managed = await tokens({ scope: 'accounts grant_management_query grant_management_revoke', grant_management_action: 'create' })
const foreign = await tokens({ scope: 'grant_management_query grant_management_revoke', grant_management_action: 'create' }, config.another)
const url = `${grants}/${managed.grant_id}`
const asking = await tokens({ scope: 'grant_management_query' })
await test('grant: good', () => get(url, managed.access_token))
await test('grant: good with a token of another authorization', () => get(url, asking.access_token))
await test('grant: no token', () => send(url, { method: 'GET' }))
await test('grant: a token for another API', () => get(url, mine.access_token))
await test('grant: revocation without its scope', () => proved(url, { method: 'DELETE', token: asking.access_token }))
await test('grant: as a bearer token', () => send(url, { method: 'GET', headers: ['authorization', `Bearer ${managed.access_token}`] }))
await test('grant: a proof for another one', () => get(url, managed.access_token, { proofURL: `${grants}/x` }))
await test('grant: another key', () => get(url, managed.access_token, { by: otherPair }))
await test("grant: another client's", () => get(url, foreign.access_token))
await test("grant: revocation of another client's", () => proved(url, { method: 'DELETE', token: foreign.access_token }))
await test('grant: an unknown one', () => get(`${grants}/${'x'.repeat(43)}`, managed.access_token))
await test('grant: none', () => get(grants, managed.access_token))
await test('grant: POST', () => proved(url, { token: managed.access_token }))
const managing = (grant_management_action, grant_id, client) => detailed(config.payment, { grant_management_action, grant_id }, client)
await test('grant: create with a grant_id', () => managing('create', managed.grant_id))
await test('grant: a grant_id without an action', () => managing(undefined, managed.grant_id))
await test('grant: an unknown action', () => managing('update', managed.grant_id))
await test('grant: merge without a grant_id', () => managing('merge'))
await test('grant: merge with an unknown one', () => managing('merge', 'x'.repeat(43)))
await test("grant: merge with another client's", () => managing('merge', managed.grant_id, config.another))
await test("grant: replacement of another client's", () => managing('replace', managed.grant_id, config.another))
await test('grant: still good after all that', () => get(url, managed.access_token))
await test('grant: good revocation', () => proved(url, { method: 'DELETE', token: managed.access_token }))
await test('grant: its token after that', () => get(config.api, managed.access_token))
await test('grant: its refresh token after that', () => refresh(managed.refresh_token))
await test('grant: gone', () => get(url, asking.access_token))
await test('grant: merge with one that is gone', () => managing('merge', managed.grant_id))

// ---- revocation

const revoke = (form, client, rest) => post(server.revocation_endpoint, form, client, rest)
await test('revoke: no authentication', () => revoke({ token: mine.refresh_token }, null))
await test('revoke: no token', () => revoke({}))
await test('revoke: nonsense', () => revoke({ token: 'x' }))
await test('revoke: an unknown hint', () => revoke({ token: 'x', token_type_hint: 'cookie' }))
await test('revoke: GET', () => send(`${server.revocation_endpoint}?token=${mine.refresh_token}`, { method: 'GET' }))
await test("revoke: another client's refresh token", () => revoke({ token: mine.refresh_token }, config.another))
await test("revoke: another client's access token", () => revoke({ token: mine.access_token }, config.another))
await test('revoke: still good after all that', () => refresh(mine.refresh_token))
await test('revoke: good', () => revoke({ token: mine.refresh_token, token_type_hint: 'access_token' }))
await test('revoke: good once more', () => revoke({ token: mine.refresh_token }))
await test('revoke: its refresh token after that', () => refresh(mine.refresh_token))
await test('revoke: its access token after that', () => get(config.api, mine.access_token))
await test('revoke: userinfo after that', () => get(userinfo, mine.access_token))
await test('revoke: introspection after that', () => introspect({ token: mine.access_token }))
await test("revoke: another client's tokens after that", () => get(config.api, others.access_token))
await test('revoke: good by the access token', () => revoke({ token: others.access_token }, config.another))
await test('revoke: the refresh token that came with it', () => refresh(others.refresh_token, {}, config.another))

lastLine({ results })
