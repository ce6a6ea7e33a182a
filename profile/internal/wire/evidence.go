package wire

import (
	"context"
	"fmt"

	"github.com/gofapi/fapi2/profile"
)

// Archive passes evidence to the Evidence function of a configuration. If hook
// is nil, nothing is archived. If Archive returns an error, the message must
// not take effect.
func Archive(ctx context.Context, hook func(context.Context, profile.Evidence) error, e profile.Evidence) error {
	if hook == nil {
		return nil
	}
	if err := hook(ctx, e); err != nil {
		return fmt.Errorf("%w: %w", profile.ErrEvidence, err)
	}
	return nil
}
