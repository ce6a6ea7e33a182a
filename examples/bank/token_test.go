package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryKindOfClientGetsToItsAccounts(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.all() {
		t.Run(p.id, func(t *testing.T) {
			tokens := p.tokens()
			answer := p.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
			require.Equal(t, "alice", answer["owner"])
			require.Len(t, answer["accounts"], 2)
		})
	}
}
