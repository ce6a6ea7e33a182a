package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

const rsaBits = 3072

// A keygen has the flags of the subcommand.
type keygen struct {
	algorithm, file, keyID, clientID, redirectURI, scope, idTokenAlg string
}

// run makes a key, writes the private half and prints the public document. It
// writes no file unless the document is valid.
func (k keygen) run(stdout, stderr io.Writer) error {
	key, err := newKey(k.algorithm)
	if err != nil {
		return err
	}
	public := jwks.Key{Public: key.Public(), KeyID: k.keyID, Algorithm: k.algorithm}
	private, err := jwks.MarshalPrivateKey(key, public)
	if err != nil {
		return err
	}
	set, err := jwks.NewSet(public)
	if err != nil {
		return err
	}
	var printed any = set
	title := "Public JWK Set"
	if k.clientID != "" {
		title = "Registration of the client"
		if printed, err = k.registration(set); err != nil {
			return err
		}
	}
	if err := writeSecret(k.file, append(private, '\n')); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "The private key is in %s. Keep it secret.\n\n%s:\n", k.file, title)
	return printJSON(stdout, printed)
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "Ed25519", "EdDSA": // two names of one algorithm
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "PS256":
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("unsupported algorithm %q, want ES256, Ed25519 or PS256", algorithm)
}

// registration returns a registration without an error of Lint. It names the
// algorithms, because the defaults of other servers are algorithms that FAPI
// 2.0 forbids.
func (k keygen) registration(set *jwks.Set) (*profile.ClientMetadata, error) {
	r := &profile.ClientMetadata{
		ClientID: k.clientID, GrantTypes: []string{"client_credentials"}, Scope: k.scope, JWKS: set,
		TokenEndpointAuthMethod: "private_key_jwt", TokenEndpointAuthSigningAlg: k.algorithm,
		DPoPBoundAccessTokens: true,
	}
	if k.redirectURI != "" {
		r.RedirectURIs, r.ResponseTypes = []string{k.redirectURI}, []string{"code"}
		r.GrantTypes = []string{"authorization_code", "refresh_token"}
		if strings.HasPrefix(k.redirectURI, "http:") { // valid on the loopback interface only
			r.ApplicationType = "native"
		}
	}
	if r.AllowsScope("openid") {
		r.IDTokenSignedResponseAlg = k.idTokenAlg
	}
	var problems []error
	for _, finding := range r.Lint(profile.Baseline) {
		if finding.Severity != "advice" { // to publish the keys at a jwks_uri
			problems = append(problems, errors.New(finding.String()))
		}
	}
	return r, errors.Join(problems...)
}

// writeSecret writes a new file that only its owner can read. It never replaces
// a file: a lost key cannot be restored.
func writeSecret(name string, data []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func printJSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}
