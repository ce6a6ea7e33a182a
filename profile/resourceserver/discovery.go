package resourceserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/refresh"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// discoverEvery is the longest age of metadata. Only the jwks_uri is used,
// which rarely changes. The JWK Set has an age of its own.
const discoverEvery = time.Hour

// A discovery finds the keys of an issuer by its metadata.
type discovery struct {
	issuer string
	client *http.Client
	now    func() time.Time
	remote *refresh.Value[*source]
}

// A source is the JWK Set at one URL.
type source struct {
	url string
	*jwks.Remote
}

func newDiscovery(i Issuer, cfg *Config) *discovery {
	d := &discovery{issuer: i.ID, client: i.HTTPClient, now: cfg.Hooks.Now}
	d.remote = refresh.New(refresh.Config[*source]{
		Load: d.find, Every: discoverEvery, Now: cfg.Hooks.Now,
		Observe: func(ctx context.Context, _ time.Duration, err error) {
			if err != nil {
				cfg.Hooks.Logger.WarnContext(ctx, "authorization server metadata not available",
					"issuer", i.ID, "detail", err)
			}
		},
	}, nil, time.Time{})
	return d
}

// find fetches the metadata. It keeps fetched keys if their URL is the same.
func (d *discovery) find(ctx context.Context, old *source) (*source, error) {
	metadata, err := profile.Discover(ctx, d.client, d.issuer)
	if err != nil {
		return nil, err
	}
	if old != nil && old.url == metadata.JWKSURI {
		return old, nil
	}
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: metadata.JWKSURI, HTTPClient: d.client, Now: d.now})
	if err != nil {
		return nil, err
	}
	if old != nil { // the old keys serve until the new URL responds
		if _, err := remote.Keys(ctx, "", jose.ES256); errors.Is(err, jwks.ErrUnavailable) {
			return nil, err
		}
	}
	return &source{metadata.JWKSURI, remote}, nil
}

// keys is [Issuer].Keys of an issuer that is discovered.
func (d *discovery) keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	found := d.remote.At(ctx, d.now())
	if found == nil {
		return nil, fmt.Errorf("%w: the metadata of %q", jwks.ErrUnavailable, d.issuer)
	}
	return found.Keys(ctx, kid, alg)
}
