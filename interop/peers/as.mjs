// oidc-provider as an authorization server under FAPI 2.0, with a user who logs in and agrees without being asked.
//
// Reads one line of JSON from standard input:
//   tls              {ca, cert, key} as PEM; ca is for the certificates of clients
//   issuer           who it is, when it stands behind a proxy; else its own socket
//   keys             private JWKs to sign with
//   clients          client metadata
//   resources        audiences of access tokens
//   defaultResource  one of them, for requests that name none; without it these lead to tokens for the server alone
//   requireNonce     whether it demands nonces in DPoP proofs
// Writes {"issuer", "url", "mtls"} when it is ready: url and mtls are its sockets, of which the second asks for
// certificates. Ends when standard input does.
import * as crypto from 'node:crypto'
import * as https from 'node:https'
import { once } from 'node:events'
import { URL } from 'node:url'
import { firstLine } from './input.mjs'

// oidc-provider uses URL.parse, which Node.js has from 22 on.
if (typeof URL.parse !== 'function') {
  URL.parse = (u, b) => { try { return new URL(u, b) } catch { return null } }
}
const { default: Provider, errors } = await import('oidc-provider')

const config = JSON.parse(await firstLine())
const plain = https.createServer({ key: config.tls.key, cert: config.tls.cert })
const mtls = https.createServer({ key: config.tls.key, cert: config.tls.cert, ca: config.tls.ca, requestCert: true, rejectUnauthorized: false })
const url = await listen(plain)
const mtlsURL = await listen(mtls)
const issuer = config.issuer ?? url

async function listen(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `https://127.0.0.1:${server.address().port}`
}

const algs = ['PS256', 'ES256', 'EdDSA', 'Ed25519']
const signs = ['PS256', 'ES256']
const wraps = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A256KW', 'RSA-OAEP', 'RSA-OAEP-256']
const ciphers = ['A128GCM', 'A256GCM', 'A128CBC-HS256', 'A256CBC-HS512']
const list = (v) => (typeof v === 'string' ? JSON.parse(v) : v)

const provider = new Provider(issuer, {
  clients: config.clients,
  jwks: { keys: config.keys },
  cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
  clockTolerance: 15,
  clientAuthMethods: ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
  responseTypes: ['code'],
  scopes: ['openid', 'offline_access'],
  clientDefaults: {
    id_token_signed_response_alg: 'PS256', authorization_signed_response_alg: 'PS256', introspection_signed_response_alg: 'PS256',
  },
  enabledJWA: {
    authorizationSigningAlgValues: signs, idTokenSigningAlgValues: signs, userinfoSigningAlgValues: signs, introspectionSigningAlgValues: signs,
    requestObjectSigningAlgValues: algs, clientAuthSigningAlgValues: algs, dPoPSigningAlgValues: algs,
    authorizationEncryptionAlgValues: wraps, idTokenEncryptionAlgValues: wraps, userinfoEncryptionAlgValues: wraps,
    authorizationEncryptionEncValues: ciphers, idTokenEncryptionEncValues: ciphers, userinfoEncryptionEncValues: ciphers,
  },
  discovery: {
    mtls_endpoint_aliases: {
      token_endpoint: `${mtlsURL}/token`,
      pushed_authorization_request_endpoint: `${mtlsURL}/request`,
      revocation_endpoint: `${mtlsURL}/token/revocation`,
      introspection_endpoint: `${mtlsURL}/token/introspection`,
      userinfo_endpoint: `${mtlsURL}/me`,
    },
  },
  findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@bank.example` }) }),
  rotateRefreshToken: false, // as FAPI 2.0 wants it
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AuthorizationCode: 60, AccessToken: 300, ClientCredentials: 300, IdToken: 300, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600 },
  // The grant that the user would have made has all that is asked for.
  async loadExistingGrant(ctx) {
    const { client, session, params, resourceServers } = ctx.oidc
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
    grant.addOIDCScope(params.scope ?? '')
    for (const resource of Object.keys(resourceServers ?? {})) grant.addResourceScope(resource, params.scope ?? '')
    for (const detail of list(params.authorization_details) ?? []) grant.addRar(detail)
    await grant.save()
    return grant
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    fapi: { enabled: true, profile: '2.0' },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    dPoP: { enabled: true, nonceSecret: crypto.randomBytes(32), requireNonce: () => config.requireNonce === true, allowReplay: false },
    mTLS: {
      enabled: true, certificateBoundAccessTokens: true, tlsClientAuth: true, selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
      certificateAuthorized: (ctx) => ctx.socket.authorized === true,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_dns' &&
        (ctx.socket.getPeerX509Certificate()?.subjectAltName?.split(', ').includes(`DNS:${expected}`) ?? false),
    },
    jwtResponseModes: { enabled: true },
    jwtUserinfo: { enabled: true },
    encryption: { enabled: true },
    requestObjects: { enabled: true, requireSignedRequestObject: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true },
    richAuthorizationRequests: {
      enabled: true,
      types: {
        payment_initiation: {
          validate(_ctx, detail) {
            if (!detail.instructedAmount?.currency || !detail.instructedAmount?.amount) {
              throw new errors.InvalidAuthorizationDetails('payment_initiation needs instructedAmount with currency and amount')
            }
          },
        },
      },
      authorizationDetailsForGrantSource: (ctx) => ctx.oidc.grant.rar ?? list(ctx.oidc.params.authorization_details),
      authorizationDetailsForAccessToken: (ctx, _token, source) => list(ctx.oidc.params.authorization_details) ?? source?.rar,
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => config.defaultResource,
      useGrantedResource: () => true,
      getResourceServerInfo(_ctx, resource) {
        if (!config.resources.includes(resource)) throw new errors.InvalidTarget()
        return { scope: 'accounts payments', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'PS256' } } }
      },
    },
  },
})

// Each prompt is answered: with a login, or with consent, for which authorization details always prompt.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  ctx.respond = false
  const { prompt } = await provider.interactionDetails(ctx.req, ctx.res)
  const result = prompt.name === 'login' ? { login: { accountId: 'alice' } } : { consent: {} }
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true })
})

// For whoever wants to know why a test has failed.
for (const route of ['server', 'authorization', 'grant', 'pushed_authorization_request', 'revocation', 'userinfo', 'introspection', 'interaction']) {
  provider.on(`${route}${route === 'server' ? '_' : '.'}error`, (ctx, e) => {
    if (e.error === 'use_dpop_nonce') return
    console.error(route, ctx?.oidc?.route, ctx?.oidc?.client?.clientId, e.error ?? e.stack, e.error_description ?? '', e.error_detail ?? '')
  })
}

const callback = provider.callback()
plain.on('request', callback)
mtls.on('request', callback)
console.log(JSON.stringify({ issuer, url, mtls: mtlsURL }))
