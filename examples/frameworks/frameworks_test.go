package frameworks_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/examples/frameworks"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

const resource = "https://api.example"

func newAPI(t *testing.T, issuer *profiletest.Issuer) *resourceserver.Server {
	api, err := resourceserver.New(resourceserver.Config{
		Resource: resource, Issuers: []resourceserver.Issuer{{ID: issuer.ID(), Keys: issuer.Keys}},
	})
	require.NoError(t, err)
	return api
}

func TestRouters(t *testing.T) {
	gin.SetMode(gin.TestMode)
	for name, newRouter := range map[string]func(*resourceserver.Server) http.Handler{
		"chi": frameworks.Chi, "gin": frameworks.Gin, "echo": frameworks.Echo,
	} {
		t.Run(name, func(t *testing.T) {
			issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
			router := newRouter(newAPI(t, issuer))
			send := func(r *http.Request) *httptest.ResponseRecorder {
				response := httptest.NewRecorder()
				router.ServeHTTP(response, r)
				return response
			}
			request := func(scope string) *http.Request {
				r := httptest.NewRequest("GET", resource+"/accounts/7", nil)
				issuer.SetToken(t, r, accesstoken.Claims{Scope: scope})
				return r
			}
			r := request("accounts")
			response := send(r)
			require.Equal(t, 200, response.Code)
			require.Equal(t, "account 7 of alice", response.Body.String())
			require.Equal(t, 200, send(httptest.NewRequest("GET", "/health", nil)).Code)

			replayed := send(r)
			require.Equal(t, 401, replayed.Code, "the proof was used")
			require.Contains(t, replayed.Header().Get("WWW-Authenticate"), "invalid_dpop_proof")
			other := send(request("payments"))
			require.Equal(t, 403, other.Code)
			require.Contains(t, other.Header().Get("WWW-Authenticate"), "insufficient_scope")
			none := send(httptest.NewRequest("GET", resource+"/accounts/7", nil))
			require.Equal(t, 401, none.Code)
			require.NotContains(t, none.Body.String(), "account")
		})
	}
}

func TestGRPC(t *testing.T) {
	issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
	certificates := httptest.NewTLSServer(nil) // for its certificate
	defer certificates.Close()
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: certificates.TLS.Certificates})),
		grpc.UnaryInterceptor(frameworks.GRPC(newAPI(t, issuer), "accounts")))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	defer server.Stop()
	trusting := certificates.Client().Transport.(*http.Transport).TLSClientConfig
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(
		credentials.NewTLS(&tls.Config{RootCAs: trusting.RootCAs, ServerName: "example.com"})))
	require.NoError(t, err)
	defer connection.Close()
	call := func(md metadata.MD) (codes.Code, metadata.MD) {
		var header metadata.MD
		_, err := grpc_health_v1.NewHealthClient(connection).Check(
			metadata.NewOutgoingContext(context.Background(), md), &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header))
		return status.Code(err), header
	}
	signed := func(scope string) metadata.MD {
		r := httptest.NewRequest("POST", resource+"/grpc.health.v1.Health/Check", nil)
		issuer.SetToken(t, r, accesstoken.Claims{Scope: scope})
		md := make(metadata.MD)
		for name, values := range r.Header {
			md[strings.ToLower(name)] = values
		}
		return md
	}

	once := signed("accounts")
	code, _ := call(once)
	require.Equal(t, codes.OK, code)
	code, header := call(once)
	require.Equal(t, codes.Unauthenticated, code, "the proof was used")
	require.Contains(t, header.Get("www-authenticate")[0], "invalid_dpop_proof")
	code, _ = call(signed("payments"))
	require.Equal(t, codes.PermissionDenied, code)
	code, _ = call(nil)
	require.Equal(t, codes.Unauthenticated, code)
}
