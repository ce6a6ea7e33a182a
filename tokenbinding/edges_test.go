package tokenbinding_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/tokenbinding"
)

func TestSchemesInAnyCase(t *testing.T) {
	require.NoError(t, tokenbinding.Scheme("dpop").CheckTokenType("DPoP"), "CS-19 as in Confirmation.Check and Challenge")
	require.ErrorIs(t, tokenbinding.Scheme("dpop").CheckTokenType("Bearer"), tokenbinding.ErrTokenType, "DPOP-5-7")
}

func TestWriteErrorTakesBackAnotherBodysLength(t *testing.T) {
	for _, err := range []error{tokenbinding.ErrNoToken, tokenbinding.ErrMismatch} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Content-Encoding", "gzip")
		tokenbinding.Challenge{}.WriteError(w, request("/"), err)
		require.Empty(t, w.Header().Get("Content-Length"))
		require.Empty(t, w.Header().Get("Content-Encoding"))
	}
}

// RFC 9110 §15.5.2: a 401 has a challenge, whatever the configuration.
func TestAChallengeInAnyCase(t *testing.T) {
	for _, schemes := range [][]tokenbinding.Scheme{nil, {}, {"Basic"}, {"dpop", "DPoP"}} {
		w := httptest.NewRecorder()
		tokenbinding.Challenge{Schemes: schemes}.WriteError(w, request("/"), tokenbinding.ErrNoToken)
		require.Equal(t, []string{"DPoP"}, w.Header().Values("WWW-Authenticate"), "BASE-6750-3.1-2 %v", schemes)
	}
}

func TestATokenIsToken68InEveryPlace(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
	for _, n := range []int{1, 3, 4, 5, 9} {
		for i := range n * 256 {
			token := bytes.Repeat([]byte("A"), n)
			if c := byte(i); c != ' ' && c != '=' { // which have a meaning before and behind a token
				token[i/256] = c
			}
			p, err := tokenbinding.FromRequest(&http.Request{Header: http.Header{"Authorization": {"DPoP " + string(token)}}})
			if strings.Trim(string(token), alphabet) == "" {
				require.NoError(t, err)
				require.Equal(t, string(token), p.Token)
				continue
			}
			require.ErrorIs(t, err, tokenbinding.ErrMalformed)
			require.ErrorContains(t, err, fmt.Sprintf("character %#02x at %d of the token", byte(i), i/256))
		}
	}
}
