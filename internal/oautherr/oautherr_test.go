package oautherr_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/oautherr"
)

var errReplayed = oautherr.New("dpop: proof replayed", "invalid_dpop_proof", 400, "proof was used before")

func TestFrom(t *testing.T) {
	secret := errors.New("redis: dial 10.0.0.7")
	for _, tc := range []struct {
		name         string
		err          error
		code, descr  string
		status       int
		isTheReplay  bool
		wantInternal string
	}{
		{"a sentinel", errReplayed, "invalid_dpop_proof", "proof was used before", 400, true, "dpop: proof replayed"},
		{"a wrapped sentinel hides its detail", fmt.Errorf("%w: %w", errReplayed, secret), "invalid_dpop_proof", "proof was used before", 400, true,
			"dpop: proof replayed: redis: dial 10.0.0.7"},
		{"an unknown error says nothing", secret, "server_error", "", 500, false, "redis: dial 10.0.0.7"},
		{"another status", oautherr.WithStatus(fmt.Errorf("%w: x", errReplayed), 401), "invalid_dpop_proof", "proof was used before", 401, true, "dpop: proof replayed: x"},
		{"another description", oautherr.Describe(errReplayed, "entry 3"), "invalid_dpop_proof", "entry 3", 400, true, "dpop: proof replayed"},
		{"both", oautherr.WithStatus(oautherr.Describe(errReplayed, "entry 3"), 401), "invalid_dpop_proof", "entry 3", 401, true, "dpop: proof replayed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, descr, status := oautherr.From(tc.err)
			require.Equal(t, tc.code, code)
			require.Equal(t, tc.descr, descr)
			require.Equal(t, tc.status, status)
			require.Equal(t, tc.isTheReplay, errors.Is(tc.err, errReplayed))
			require.Equal(t, tc.wantInternal, tc.err.Error())
		})
	}
}

func TestReason(t *testing.T) {
	for _, err := range []error{
		errReplayed, fmt.Errorf("%w: 17", errReplayed), oautherr.Describe(errReplayed, "entry 3"), errors.Join(errors.New("other"), oautherr.WithStatus(errReplayed, 401)),
	} {
		require.Equal(t, "dpop: proof replayed", oautherr.Reason(err))
	}
	require.Empty(t, oautherr.Reason(errors.New("redis: dial 10.0.0.7")))
}
