package frameworks

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/gofapi/fapi2/profile/resourceserver"
)

//docs:begin grpc

// GRPC returns an interceptor for unary calls. It does not guard streams, which
// need a grpc.StreamServerInterceptor. A proof names the method POST and the
// URL of the service with the full name of the called method.
func GRPC(api *resourceserver.Server, scopes ...string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, call any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		r := (&http.Request{Method: http.MethodPost, URL: &url.URL{Path: info.FullMethod}}).WithContext(ctx)
		received, _ := metadata.FromIncomingContext(ctx)
		r.Header = http.Header(received)
		if p, ok := peer.FromContext(ctx); ok {
			r.RemoteAddr = p.Addr.String()
			if connection, ok := p.AuthInfo.(credentials.TLSInfo); ok {
				r.TLS = &connection.State // for tokens that are bound to a certificate
			}
		}
		decision := api.Decide(r, scopes...)
		sent := make(metadata.MD)
		for name, values := range decision.Header {
			sent[strings.ToLower(name)] = values // DPoP-Nonce, WWW-Authenticate
		}
		if err := grpc.SetHeader(ctx, sent); err != nil {
			return nil, err
		}
		switch decision.Status {
		case http.StatusOK:
			return next(resourceserver.ContextWithToken(ctx, decision.Token), call)
		case http.StatusForbidden:
			return nil, status.Error(codes.PermissionDenied, "the token does not permit this")
		case http.StatusServiceUnavailable:
			return nil, status.Error(codes.Unavailable, "try again later")
		}
		return nil, status.Error(codes.Unauthenticated, "no valid token")
	}
}

//docs:end
