// openid-client as a FAPI 2.0 client of authorization servers that agree without asking. It runs flows, all at once.
//
// Reads one line of JSON from standard input, {name: flow, …}, where a flow has:
//   issuer, wellKnown       the server; wellKnown is "oidc" (default) or "oauth2"
//   client                  client metadata, client_id and token_endpoint_auth_method among them
//   key                     private JWK: authenticates the client and signs its requests
//   tls                     {ca, cert, key} as PEM; cert and key only for clients with a certificate
//   profile                 "baseline" or "advanced"
//   binding                 "dpop" or "mtls"
//   redirectURI, scope
//   resource                RFC 8707; optional
//   authorizationDetails    for RAR; optional
//   api                     URL to call with the access token; optional
//   order                   what to post there, as JSON; optional, else it is a GET
//   userinfo                whether to call the UserInfo endpoint
//   introspection           {client, key} of a resource server that asks about the access token; optional
// Writes {name: {"stages": {name: {"ok": true, …} | {"ok": false, "code", "error", …}}, "wire": [{"method", "url", "status",
// "type"}, …]}, …}. After the first stage that fails a flow has no more.
import * as client from 'openid-client'
import * as jose from 'jose'
import { firstLine, lastLine } from './input.mjs'
import { agents, browse, fetchBy } from './http.mjs'

async function run(config) {
  const advanced = config.profile === 'advanced'
  const openid = config.scope.split(' ').includes('openid')
  const { plain, own } = agents(config.tls)
  const stages = {}
  const wire = []

  async function stage(name, f) {
    try {
      stages[name] = { ok: true, ...(await f()) }
    } catch (e) {
      stages[name] = { ok: false, code: e.code, error: e.error, description: e.error_description, message: e.message, cause: String(e.cause?.message ?? e.cause ?? '') }
      throw e
    }
  }

  // connect discovers the server for a client. enableNonRepudiationChecks has it verify every signature.
  async function connect(metadata, jwk, dispatcher) {
    const byKey = metadata.token_endpoint_auth_method === 'private_key_jwt'
    const key = jwk && (await jose.importJWK(jwk, jwk.alg))
    const auth = byKey ? client.PrivateKeyJwt({ key, kid: jwk.kid }) : client.TlsClientAuth()
    const { client_id, ...rest } = metadata
    const connected = await client.discovery(new URL(config.issuer), client_id, { ...rest, use_mtls_endpoint_aliases: dispatcher !== plain }, auth, {
      algorithm: config.wellKnown ?? 'oidc', [client.customFetch]: fetchBy(dispatcher, wire),
    })
    client.enableNonRepudiationChecks(connected)
    return { connected, signing: { key, kid: jwk?.kid } }
  }

  async function all() {
    let connected, signing, DPoP, redirect, parameters, tokens
    await stage('discovery', async () => {
      ({ connected, signing } = await connect(config.client, config.key, own))
      if (advanced) client.useJwtResponseMode(connected)
      if (config.binding === 'dpop') DPoP = client.getDPoPHandle(connected, await client.randomDPoPKeyPair('ES256'))
      const server = connected.serverMetadata()
      return { issuer: server.issuer, fapi: { par: server.require_pushed_authorization_requests, iss: server.authorization_response_iss_parameter_supported } }
    })
    const verifier = client.randomPKCECodeVerifier()
    const state = client.randomState()
    const nonce = openid ? client.randomNonce() : undefined
    const resource = config.resource ? { resource: config.resource } : {}
    await stage('par', async () => {
      let form = new URLSearchParams({
        redirect_uri: config.redirectURI, scope: config.scope, state, ...resource, ...(openid ? { nonce } : {}),
        code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
        ...(config.authorizationDetails ? { authorization_details: JSON.stringify(config.authorizationDetails) } : {}),
      })
      if (advanced) form = (await client.buildAuthorizationUrlWithJAR(connected, form, signing)).searchParams
      redirect = await client.buildAuthorizationUrlWithPAR(connected, form, { DPoP })
      return { parameters: [...redirect.searchParams.keys()].sort() }
    })
    await stage('authorization', async () => {
      parameters = await browse(redirect, config.redirectURI, plain)
      return { parameters: [...parameters.searchParams.keys()].sort() }
    })
    await stage('token', async () => {
      tokens = await client.authorizationCodeGrant(connected, parameters, {
        pkceCodeVerifier: verifier, expectedState: state, ...(openid ? { expectedNonce: nonce, idTokenExpected: true } : {}),
      }, resource, { DPoP })
      return { token_type: tokens.token_type, expires_in: tokens.expires_in, scope: tokens.scope, refresh_token: !!tokens.refresh_token, authorization_details: tokens.authorization_details }
    })
    if (openid) await stage('id_token', async () => ({ claims: tokens.claims(), alg: jose.decodeProtectedHeader(tokens.id_token).alg }))
    if (config.userinfo) {
      await stage('userinfo', async () => ({ claims: await client.fetchUserInfo(connected, tokens.access_token, tokens.claims().sub, { DPoP }) }))
    }
    const call = async (token) => {
      const [method, body, headers] = config.order ? ['POST', JSON.stringify(config.order), new Headers({ 'content-type': 'application/json', 'idempotency-key': 'order-1' })] : ['GET']
      return client.fetchProtectedResource(connected, token, new URL(config.api), method, body, headers, { DPoP })
    }
    const called = async (token) => {
      const response = await call(token)
      if (!response.ok) throw new Error(`the API answers ${response.status} ${response.headers.get('www-authenticate')}`)
      return { status: response.status, answer: await response.json() }
    }
    if (config.api) await stage('api', () => called(tokens.access_token))
    let refreshed
    if (tokens.refresh_token) {
      await stage('refresh', async () => {
        refreshed = await client.refreshTokenGrant(connected, tokens.refresh_token, resource, { DPoP })
        return {
          token_type: refreshed.token_type, rotated: refreshed.refresh_token !== undefined && refreshed.refresh_token !== tokens.refresh_token,
          other: refreshed.access_token !== tokens.access_token, authorization_details: refreshed.authorization_details,
          ...(config.api ? await called(refreshed.access_token) : {}),
        }
      })
    }
    if (config.introspection) {
      await stage('introspection', async () => {
        const asking = await connect(config.introspection.client, config.introspection.key, config.introspection.client.token_endpoint_auth_method === 'private_key_jwt' ? plain : own)
        const { active, sub, client_id, scope, cnf, authorization_details } = await client.tokenIntrospection(asking.connected, tokens.access_token)
        return { answer: { active, sub, client_id, scope, cnf }, authorization_details, type: wire.findLast(({ method }) => method === 'POST').type }
      })
    }
    if (tokens.refresh_token && connected.serverMetadata().revocation_endpoint) {
      await stage('revocation', async () => {
        await client.tokenRevocation(connected, tokens.refresh_token)
        const then = await client.refreshTokenGrant(connected, tokens.refresh_token, resource, { DPoP }).then(() => 'still good', (e) => e.error ?? String(e))
        const status = config.api && await call(refreshed.access_token).then((r) => r.status, (e) => e.status ?? e.response?.status ?? 0)
        return { then, status }
      })
    }
  }

  await all().catch((e) => { console.error(config.issuer, config.client.client_id, config.scope, e) })
  return { stages, wire }
}

const flows = Object.entries(JSON.parse(await firstLine({ stay: true })))
lastLine(Object.fromEntries(await Promise.all(flows.map(async ([name, flow]) => [name, await run(flow)]))))
