package resourceserver_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

// boundTypes are those of richTypes with the scope payments for payments, and the
// scope audits for audit.
func boundTypes(t testing.TB) *rar.Registry {
	all := richTypes(t)
	payment, err := rar.TypeOf("payment", rar.TypeConfig[paymentDetail]{Scope: "payments"})
	require.NoError(t, err)
	audit, err := rar.TypeOf("audit", rar.TypeConfig[struct{ rar.Common }]{Resources: []string{otherAPI}, Scope: "audits"})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{all.Type("account"), payment, audit}})
	require.NoError(t, err)
	return registry
}

const (
	readOnly   = `[{"type":"account","actions":["read"]}]`
	payACME    = `[{"type":"payment","payee":"ACME","amount":"1.00"}]`
	theirMoney = `[{"type":"payment","payee":"EVIL","amount":"1.00"}]`
)

// join makes one list of several.
func join(lists ...string) string {
	for i, list := range lists {
		lists[i] = strings.TrimSuffix(strings.TrimPrefix(list, "["), "]")
	}
	return "[" + strings.Join(lists, ",") + "]"
}

const otherAPI = "https://other-api.example"

// accountDetail can be narrowed in its lists, and has the accounts filled in that the user chooses.
type accountDetail struct {
	rar.Common
	Accounts []string `json:"accounts,omitempty"`
}

// paymentDetail is granted as it is, or not.
type paymentDetail struct {
	rar.Common
	Payee  string `json:"payee"`
	Amount string `json:"amount"`
}

// richTypes are account, payment, and audit, which is for the other API alone.
func richTypes(t testing.TB) *rar.Registry {
	account, err := rar.TypeOf("account", rar.TypeConfig[accountDetail]{
		Covers: func(granted, requested accountDetail) error {
			if (granted.Accounts == nil) != (requested.Accounts == nil) || slices.ContainsFunc(requested.Accounts, func(a string) bool { return !slices.Contains(granted.Accounts, a) }) {
				return rar.FieldError("accounts", "more than was granted")
			}
			return granted.CoversCommon(requested.Common)
		},
		Enriches: func(requested, granted accountDetail) error {
			if requested.Accounts != nil || len(granted.Accounts) == 0 {
				return rar.FieldError("accounts", "not to be chosen")
			}
			return requested.CoversCommon(granted.Common)
		},
	})
	require.NoError(t, err)
	payment, err := rar.TypeOf("payment", rar.TypeConfig[paymentDetail]{
		Check: func(p paymentDetail) error {
			if p.Amount == "" {
				return rar.FieldError("amount", "empty")
			}
			return nil
		},
	})
	require.NoError(t, err)
	audit, err := rar.TypeOf("audit", rar.TypeConfig[struct{ rar.Common }]{Resources: []string{otherAPI}})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{account, payment, audit}})
	require.NoError(t, err)
	return registry
}

const readAndList = `[{"type":"account","actions":["read","list"]}]`

// certify makes a certificate for the key of this name; with no issuer a self-signed one.
func certify(t testing.TB, name string, issuer *tls.Certificate, change ...func(*x509.Certificate)) *tls.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}}, DNSNames: []string{name + ".example", "other." + name + ".example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(template)
	}
	key := testkit.ECKey(t, name)
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func authority(t testing.TB, name string) *tls.Certificate {
	return certify(t, name, nil, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
}

var errDown = errors.New("db: connection refused by 10.1.2.3")
