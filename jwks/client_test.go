package jwks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/jwks"
)

// The addresses are from each range of the registries of special-purpose
// addresses, and from unassigned ranges. The guard rejects them before it
// connects.
func TestRemotePublicOnlyRanges(t *testing.T) {
	for _, address := range []string{
		"0.0.0.0", "0.1.2.3", // this network
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", // private
		"100.64.0.0", "100.127.255.255", // CGNAT
		"127.0.0.1", "127.255.255.254", "169.254.169.254",
		"192.0.0.8", "192.0.0.171", "192.0.2.1", "198.51.100.7", "203.0.113.9", // protocol assignments, documentation
		"192.88.99.1",                  // 6to4 relays
		"198.18.0.1", "198.19.255.255", // benchmarking
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", // multicast, reserved, broadcast

		"[::]", "[::1]", "[::7f00:1]", "[::10.0.0.1]", // unspecified, loopback, IPv4-compatible
		"[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:0:10.0.0.1]", // IPv4-mapped, IPv4-translated
		"[64:ff9b::a00:1]", "[64:ff9b::1]", "[64:ff9b:1::1]", // NAT64
		"[100::1]", "[100:0:0:1::1]", // discard, dummy
		"[2001::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", // Teredo, benchmarking, ORCHID
		"[2001:db8::1]", "[3fff::1]", "[3fff:fff::1]", // documentation
		"[2002:a00:1::1]", "[2002:7f00:1::]", // 6to4
		"[4000::1]", "[5f00::1]", // not assigned, segment routing
		"[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[fec0::1]", "[feff::1]", // unique local, link-local, site-local
		"[ff02::1]", "[ff0e::1]", // multicast
	} {
		t.Run("JWT-BIS-1 "+address, func(t *testing.T) {
			remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://" + address + ":1/jwks", PublicOnly: true})
			require.NoError(t, err)
			_, err = remote.Keys(context.Background(), "a", "ES256")
			require.ErrorIs(t, err, jwks.ErrUnavailable)
			require.ErrorContains(t, err, "is not a public address")
		})
	}
}

func TestIsPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"1.1.1.1": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.255.255": true, "172.32.0.0": true, "192.0.1.1": true,
		"198.17.255.255": true, "198.20.0.0": true, "223.255.255.255": true, "2606:4700::1111": true, "2001:200::1": true, "2a00::1": true,
		"::ffff:1.1.1.1": true, "::ffff:127.0.0.1": false, "fec0::1": false, "3fff::1": false, "192.88.99.255": false, "fe80::1%eth0": false,
		"2606:4700::1%eth0": false,
	} {
		require.Equal(t, want, jwks.IsPublic(netip.MustParseAddr(address)), address)
	}
	require.False(t, jwks.IsPublic(netip.Addr{}))
}

// resolve starts a server that resolves all names to the result of answer.
func resolve(t *testing.T, answer func() netip.Addr) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
	done := make(chan struct{})
	t.Cleanup(func() { net.DefaultResolver = old; conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5
			if end > n {
				continue
			}
			reply := append([]byte(nil), buf[:end]...)
			reply[2], reply[3] = 0x85, 0x80 // authoritative answer
			clear(reply[6:12])
			if binary.BigEndian.Uint16(buf[end-4:]) == 1 { // A
				reply[7] = 1
				ip := answer().As4()
				reply = append(append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip[:]...)
			}
			conn.WriteTo(reply, from) //nolint:errcheck // the resolver retries
		}
	}()
}

// attack: the name resolves to a public address first, and then to one of ours.
func TestRemotePublicOnlyRebinding(t *testing.T) {
	var rebound atomic.Bool
	resolve(t, func() netip.Addr {
		if rebound.Load() {
			return netip.MustParseAddr("127.0.0.1")
		}
		return netip.MustParseAddr("1.1.1.1")
	})
	p := newPublisher(t, publish(t, "a"))
	port := p.URL[strings.LastIndex(p.URL, ":"):]
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://rebind.client.test" + port, PublicOnly: true})
	require.NoError(t, err)
	addresses, err := net.DefaultResolver.LookupHost(context.Background(), "rebind.client.test")
	require.NoError(t, err)
	require.Equal(t, []string{"1.1.1.1"}, addresses)
	rebound.Store(true)
	_, err = remote.Keys(context.Background(), "a", "ES256")
	require.ErrorContains(t, err, "127.0.0.1 is not a public address", "JWT-BIS-1")
	require.Zero(t, p.requests.Load())
}

func TestPublicClient(t *testing.T) {
	resolve(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // would resolve names itself
	p := newPublisher(t, publish(t, "a"))
	port := p.URL[strings.LastIndex(p.URL, ":"):]
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	fetch := func(t *testing.T, host string, allow ...netip.Prefix) error {
		client, err := jwks.PublicClient(allow...)
		require.NoError(t, err)
		transport := client.Transport.(*http.Transport)
		require.EqualValues(t, tls.VersionTLS12, transport.TLSClientConfig.MinVersion, "SP-5.4.2-1")
		require.Nil(t, transport.Proxy)
		transport.TLSClientConfig.RootCAs = roots
		remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://" + host + port + "/jwks", HTTPClient: client})
		require.NoError(t, err)
		_, err = remote.Keys(context.Background(), "a", "ES256")
		return err
	}
	loopback, other := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")
	mapped := netip.MustParsePrefix("::ffff:127.0.0.0/104")
	const refused = "127.0.0.1 is not a public address"
	require.ErrorContains(t, fetch(t, "example.com"), refused, "JWT-BIS-1") // the name in the certificate
	require.ErrorContains(t, fetch(t, "127.0.0.1"), refused)
	require.ErrorContains(t, fetch(t, "example.com", other), refused)
	require.Zero(t, p.requests.Load())
	require.NoError(t, fetch(t, "example.com", other, loopback))
	require.NoError(t, fetch(t, "127.0.0.1", mapped), "a prefix is meant for the addresses in it, however they are written")
	require.NoError(t, fetch(t, "[::ffff:127.0.0.1]", loopback), "SP-5.4.2-1 and the certificate is for that address")
	require.EqualValues(t, 3, p.requests.Load())
	require.ErrorContains(t, fetch(t, "client.test", loopback), "certificate", "SP-5.4.2-1 allowed is the address, not a server that is somebody else")

	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::ffff:0:0/96")} {
		_, err := jwks.PublicClient(bad)
		require.ErrorContains(t, err, "AllowPrefixes")
		_, err = jwks.NewRemote(jwks.RemoteConfig{URL: "https://client.example", PublicOnly: true, AllowPrefixes: []netip.Prefix{bad}})
		require.ErrorContains(t, err, "AllowPrefixes")
	}
	_, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://client.example", AllowPrefixes: []netip.Prefix{loopback}})
	require.ErrorContains(t, err, "PublicOnly", "it would look like a restriction")
}

func TestRemoteAllowPrefixes(t *testing.T) {
	server := httptest.NewUnstartedServer(publish(t, "a"))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the client does not trust its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	prefixes := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: server.URL, PublicOnly: true, AllowPrefixes: prefixes})
	require.NoError(t, err)
	prefixes[0] = netip.MustParsePrefix("10.0.0.0/8") // copied
	_, err = remote.Keys(context.Background(), "a", "ES256")
	require.ErrorContains(t, err, "certificate", "the connection was permitted, and the certificate was not trusted")
}
