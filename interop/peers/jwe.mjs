// Encrypts and decrypts with jose.
//
// Reads one document from standard input:
//   seal  [{jwk, alg, enc, kid, token}]: a public key, and a token that is encrypted to it as a Nested JWT
//   open  [{jwk, alg, enc, jwe}]: a private key, and a JWE that is decrypted with these algorithms alone
// Writes {"sealed": [...], "opened": [...]}: each JWE, and each decrypted token with the protected header.
import { CompactEncrypt, compactDecrypt, importJWK } from 'jose'
import { firstLine, lastLine } from './input.mjs'

const { seal, open } = JSON.parse(await firstLine({ stay: true }))
const sealed = []
for (const { jwk, alg, enc, kid, token } of seal) {
  sealed.push(await new CompactEncrypt(new TextEncoder().encode(token))
    .setProtectedHeader({ alg, enc, kid, cty: 'JWT' })
    .encrypt(await importJWK(jwk, alg)))
}
const opened = []
for (const { jwk, alg, enc, jwe } of open) {
  const options = { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] }
  const { plaintext, protectedHeader } = await compactDecrypt(jwe, await importJWK(jwk, alg), options)
  opened.push({ token: new TextDecoder().decode(plaintext), cty: protectedHeader.cty, kid: protectedHeader.kid })
}
lastLine({ sealed, opened })
