package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/store"
)

// A world is a bank that serves real sockets, and who its clients are.
type world struct {
	t            testing.TB
	cfg          *config
	bank         *bank
	instances    []*bank // that share the store; the first one is bank
	issuer, mtls string
	shown        *served
	offset       atomic.Int64 // by which the bank's clock differs
	log          *buffer
	telemetry    *telemetry.Telemetry
	roots        *x509.CertPool
	one, two     *party // private_key_jwt, DPoP
	tlsOne       *party // tls_client_auth, certificate-bound
	tlsTwo       *party
	mixed        *party // private_key_jwt, certificate-bound
	mixedTwo     *party
	rs           *party // the server of the bank's own resource
}

// A party is a client with everything that it needs to act, and to misbehave.
type party struct {
	w            *world
	id, redirect string
	key          crypto.Signer
	dpop         *ecdsa.PrivateKey
	certificate  *tls.Certificate // nil: none
	header       http.Header      // of all requests
	jwt, bound   bool             // authenticates by assertion; tokens bound to the certificate
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const redirectURI = "https://app.example/callback?dummy1=lorem&dummy2=ipsum"

// newWorld starts a bank; changes are to its configuration.
func newWorld(t testing.TB, changes ...func(cfg object)) *world {
	t.Helper()
	return newInstances(t, 1, changes...)
}

// newInstances starts several instances of a bank behind one address. Each
// request is for the next one.
func newInstances(t testing.TB, instances int, changes ...func(cfg object)) *world {
	t.Helper()
	w := &world{t: t, log: new(buffer)}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	listener, asking := listen(), listen()
	port := func(l net.Listener) string { return l.Addr().String()[len("127.0.0.1"):] }
	w.issuer, w.mtls = "https://localhost"+port(listener), "https://localhost"+port(asking)
	var err error
	w.cfg, err = parseConfig(w.document(listener.Addr().String(), asking.Addr().String(), changes), "memory:")
	require.NoError(t, err)
	w.cfg.iterations = 1000
	certificate, made, err := w.cfg.serverCertificate()
	require.NoError(t, err)
	w.cfg.authority, w.shown = made, newServed(certificate)
	w.roots = x509.NewCertPool()
	w.roots.AddCert(made.certificate)
	log := slog.New(telemetry.Log(slog.NewJSONHandler(w.log, nil)))
	exported, err := telemetry.Start(t.Context(), telemetry.Config{Service: "bank", Prometheus: w.cfg.operatorListen != "", Logger: log})
	require.NoError(t, err)
	w.telemetry = exported
	around := surroundings{log: log, now: w.now, telemetry: exported}
	of := make([][]socket, instances)
	for i := range instances {
		kept, err := openStores(t.Context(), w.cfg.stores, around)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, kept.close()) })
		b, err := newBank(t.Context(), w.cfg, kept, around)
		require.NoError(t, err)
		of[i], err = b.sockets(listener, asking)
		require.NoError(t, err)
		w.instances = append(w.instances, b)
	}
	w.bank = w.instances[0]
	var requests atomic.Int64
	sockets := slices.Clone(of[0])
	for i := range sockets {
		sockets[i].handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			of[int(requests.Add(1))%instances][i].handler.ServeHTTP(rw, r)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- serve(ctx, log, w.shown, sockets...) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return w
}

// document is the configuration of the bank with new clients.
func (w *world) document(listen, mtlsListen string, changes []func(cfg object)) []byte {
	w.t.Helper()
	clients, clientCA := w.newParties()
	document := object{
		"issuer": w.issuer, "listen": listen, "mtls_listen": mtlsListen, "client_ca_file": clientCA,
		"openid": true, "users": []object{{"username": "alice", "password": "correct horse"}, {"username": "bob", "password": "battery staple"}},
		"auto_approve": "alice", "clients": clients, "resource_servers": object{"rs": []string{w.issuer}},
	}
	for _, change := range changes {
		change(document)
	}
	maps.DeleteFunc(document, func(_ string, value any) bool { return value == nil })
	raw, err := json.Marshal(document)
	require.NoError(w.t, err)
	return raw
}

func with(name string, value any) func(cfg object) { return func(cfg object) { cfg[name] = value } }

// registration changes the registration of all clients, or of those named.
func registration(changes object, ids ...string) func(cfg object) {
	return func(cfg object) {
		for _, client := range cfg["clients"].([]object) {
			if len(ids) == 0 || slices.Contains(ids, client["client_id"].(string)) {
				set(client, changes)
			}
		}
	}
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

// made returns the payments of alice.
func (w *world) made() []payment {
	w.t.Helper()
	all, err := w.bank.payments.of(w.t.Context(), "alice")
	require.NoError(w.t, err)
	return all
}

// newRecords returns records in memory.
func newRecords(t testing.TB, now func() time.Time) *records.Records {
	t.Helper()
	memory, err := store.NewMemory(store.MemoryConfig{Now: now})
	require.NoError(t, err)
	return &records.Records{Store: memory, Owner: "https://bank.example", Now: now}
}

func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) newParties() (clients []object, clientCA string) {
	key := newEC(w.t)
	authority := certify(w.t, &x509.Certificate{Subject: pkix.Name{CommonName: "CA of clients"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, nil, key)
	clientCA = filepath.Join(w.t.TempDir(), "clients.pem")
	require.NoError(w.t, os.WriteFile(clientCA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]}), 0o600))
	add := func(id string, jwt, bound bool) *party {
		p := &party{w: w, id: id, redirect: redirectURI, key: newEC(w.t), dpop: newEC(w.t), jwt: jwt, bound: bound}
		public := publicJWK(w.t, p.key.Public())
		public["kid"], public["use"] = "key-of-"+id, "sig"
		client := object{
			"client_id": id, "client_name": "Application " + id, "redirect_uris": []string{redirectURI, "https://app.example/other"},
			"scope": "openid profile accounts payments grant_management_query grant_management_revoke", "authorization_details_types": []string{"payment_initiation", "account_information"}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
			"jwks": object{"keys": []object{public}}, "token_endpoint_auth_method": "private_key_jwt",
		}
		if bound {
			client["tls_client_certificate_bound_access_tokens"] = true
			p.certificate = certify(w.t, &x509.Certificate{Subject: pkix.Name{CommonName: id}, DNSNames: []string{id + ".example"}}, authority, newEC(w.t))
		} else {
			client["dpop_bound_access_tokens"] = true
		}
		if !jwt {
			client["token_endpoint_auth_method"], client["tls_client_auth_san_dns"] = "tls_client_auth", id+".example"
		}
		clients = append(clients, client)
		return p
	}
	w.one, w.two = add("one", true, false), add("two", true, false)
	w.tlsOne, w.tlsTwo = add("tls-one", false, true), add("tls-two", false, true)
	w.mixed = add("mixed", true, true)
	w.mixedTwo = add("mixed-two", true, true)
	w.rs = add("rs", true, false)
	return clients, clientCA
}

func certify(t testing.TB, template *x509.Certificate, by *tls.Certificate, key *ecdsa.PrivateKey) *tls.Certificate {
	t.Helper()
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	leaf, err := sign(template, parent, key, signer)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// all are the clients that tests of every client go through.
func (w *world) all() []*party { return []*party{w.one, w.two, w.tlsOne, w.tlsTwo, w.mixed} }

// at is where a client finds an endpoint: clients that use certificates go to
// the aliases.
func (p *party) at(path string) string {
	if p.bound {
		return p.w.mtls + path
	}
	return p.w.issuer + path
}

func newPool(t testing.TB, ca []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	return pool
}
