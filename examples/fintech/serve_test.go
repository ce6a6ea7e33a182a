package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// announced waits for the line that says where the pages are.
type announced chan string

func (r announced) Write(line []byte) (int, error) {
	r <- string(line)
	return len(line), nil
}

func TestServeUntilTheEnd(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host := socket.Addr().String()
	require.NoError(t, socket.Close())
	w.settings["redirect_uri"] = "https://" + host + "/callback"

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began, ended := make(announced, 1), make(chan int, 1)
	var stderr journal
	go func() { ended <- run(ctx, []string{"-config", w.configFile()}, began, &stderr) }()
	require.Contains(t, <-began, "https://"+host+"/")
	// The certificate was made by the program just now, so there is nothing
	// that it could be checked against.
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	response, err := stranger.Get("https://" + host + "/")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, 2, response.ProtoMajor)
	require.NoError(t, response.TLS.PeerCertificates[0].VerifyHostname("127.0.0.1"))
	cancel()
	require.Zero(t, <-ended, stderr.String())
}

func TestServeNeedsTheBank(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	w.as.Close()
	var stdout, stderr journal // a fetch of metadata may end later, with a report
	require.Equal(t, 1, run(t.Context(), []string{"-config", w.configFile()}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "discovery: ")
	require.Empty(t, stdout.String())
}

// The bank's demonstration also creates a certificate for the pages. It is used
// if it is valid for the host and for servers.
func TestTheCertificateOfThePages(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", mtls: true})
	c, err := loadConfig(w.configFile())
	require.NoError(t, err)
	for host, taken := range map[string]bool{"localhost": false, "fintech.client.example": false} {
		pair, err := c.pageCertificate(host)
		require.NoError(t, err)
		require.Equal(t, taken, pair == c.banks[0].certificate, "%s: a certificate for clients alone", host)
	}
	pair, err := selfSigned("localhost")
	require.NoError(t, err)
	c.banks[0].certificate = pair
	for host, taken := range map[string]bool{"localhost": true, "other.example": false} {
		pair, err := c.pageCertificate(host)
		require.NoError(t, err)
		require.Equal(t, taken, pair == c.banks[0].certificate, host)
	}
}
