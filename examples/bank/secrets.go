package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/gofapi/fapi2/profile"
)

// secrets are the symmetric keys of the bank, the same in all instances. The
// keys of a real bank are in a KMS or an HSM.
type secrets struct {
	Flows        []byte `json:"flows"` // seals flows in the browser
	Forms        []byte `json:"forms"` // form tokens and known browsers
	ServerNonces []byte `json:"server_nonces"`
	APINonces    []byte `json:"api_nonces"`
}

// loadSecrets returns the stored secrets. The first instance creates them.
func loadSecrets(ctx context.Context, r *records) (s secrets, err error) {
	return s, update(ctx, r, "secrets", "", keptForever, func(v *secrets) (write bool, err error) {
		for _, key := range []*[]byte{&v.Flows, &v.Forms, &v.ServerNonces, &v.APINonces} {
			if len(*key) == 0 {
				*key, write = make([]byte, 32), true
				rand.Read(*key) // never fails
			}
		}
		s = *v
		return write, nil
	})
}

// storedKeys are private keys in PKCS #8, by algorithm.
type storedKeys map[string][]byte

// makeKeys creates the keys of the algorithms that have none yet.
func makeKeys(ctx context.Context, r *records, algorithms []string) error {
	return update(ctx, r, "keys", "", keptForever, func(v *storedKeys) (write bool, err error) {
		if *v == nil {
			*v = storedKeys{}
		}
		for _, algorithm := range algorithms {
			if (*v)[algorithm] != nil {
				continue
			}
			key, err := newKey(algorithm)
			if err != nil {
				return false, err
			}
			if (*v)[algorithm], err = x509.MarshalPKCS8PrivateKey(key); err != nil {
				return false, err
			}
			write = true
		}
		return write, nil
	})
}

// loadKeys returns the signing keys of these algorithms.
func loadKeys(ctx context.Context, r *records, algorithms []string) ([]profile.SigningKey, error) {
	var stored storedKeys
	if _, err := r.get(ctx, "keys", "", &stored); err != nil {
		return nil, err
	}
	keys := make([]profile.SigningKey, len(algorithms))
	for i, algorithm := range algorithms {
		parsed, err := x509.ParsePKCS8PrivateKey(stored[algorithm])
		if err != nil {
			return nil, fmt.Errorf("malformed key of %s in the store", algorithm)
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("unsuitable key of %s in the store", algorithm)
		}
		keys[i] = profile.SigningKey{Key: signer, Algorithm: algorithm}
	}
	return keys, nil
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	default: // EdDSA, Ed25519
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}

// A storedAuthority is a CA in PEM.
type storedAuthority struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// loadAuthority returns the stored CA for these hosts. It creates a new one if
// there is none, if the hosts have changed, or if it ends soon.
func loadAuthority(ctx context.Context, r *records, hosts []string) (a *authority, err error) {
	return a, update(ctx, r, "authority", "", keptForever, func(v *storedAuthority) (bool, error) {
		var err error
		if a, err = parseAuthority(v.Certificate, v.Key, hosts...); err == nil {
			return false, nil
		}
		if a, err = newAuthority(hosts...); err != nil {
			return false, err
		}
		v.Certificate = a.pem()
		v.Key, err = keyPEM(a.key)
		return true, err
	})
}

// certificate returns the certificate of the configuration, or one of the
// stored CA. In that case it returns the CA as well.
func (b *bank) certificate(ctx context.Context) (_ *tls.Certificate, _ *authority, err error) {
	if b.cfg.certificate == nil && b.cfg.authority == nil {
		if b.cfg.authority, err = loadAuthority(ctx, b.users.records, b.cfg.hosts()); err != nil {
			return nil, nil, err
		}
	}
	return b.cfg.serverCertificate()
}

// permits reports whether the name constraints of a CA are those for these
// hosts.
func (a *authority) permits(hosts []string) bool {
	wanted, got := constraints(hosts), a.certificate
	return fmt.Sprint(wanted.PermittedDNSDomains, wanted.PermittedIPRanges) ==
		fmt.Sprint(got.PermittedDNSDomains, got.PermittedIPRanges)
}
