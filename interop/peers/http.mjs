// How the peers that are clients speak HTTP: with the test's authority, over TLS, with a certificate or without.
import { Agent, fetch } from 'undici'

// agents returns plain, which has no certificate, and own, which presents the client's if it has one.
export function agents({ ca, cert, key }) {
  const plain = new Agent({ connect: { ca } })
  return { plain, own: cert ? new Agent({ connect: { ca, cert, key } }) : plain }
}

// fetchBy is a fetch that keeps a log.
export function fetchBy(dispatcher, log) {
  return async (url, options) => {
    const response = await fetch(url, { ...options, dispatcher })
    log.push({ method: options.method, url: String(url), status: response.status, type: response.headers.get('content-type') ?? '' })
    return response
  }
}

// browse follows redirects, with cookies, up to the one that leads to the redirect URI.
export async function browse(url, redirectURI, dispatcher) {
  const cookies = new Map()
  for (let i = 0; i < 15; i++) {
    const headers = { accept: 'text/html', cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
    const response = await fetch(url, { redirect: 'manual', dispatcher, headers })
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';')
      const at = pair.indexOf('=')
      if (pair.length > at + 1) cookies.set(pair.slice(0, at), pair.slice(at + 1))
      else cookies.delete(pair.slice(0, at))
    }
    const to = response.headers.get('location')
    const page = await response.text()
    if (!to) throw new Error(`no redirect: ${response.status} ${page.slice(0, 600)}`)
    url = new URL(to, url)
    if (url.href.startsWith(redirectURI)) return url
  }
  throw new Error('too many redirects')
}
