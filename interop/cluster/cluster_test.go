package cluster_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/cluster"
)

func TestFlowsOverTwoInstances(t *testing.T) {
	for name, pages := range map[string]bool{"approved by the bank": false, "approved by the user": true} {
		t.Run(name, func(t *testing.T) {
			c := cluster.Start(t, cluster.Config{
				Instances: 2, Store: "sqlite:" + filepath.Join(t.TempDir(), "data", "bank.db"), Pages: pages,
			})
			d := c.NewDriver(t, cluster.DriverConfig{})
			for range 3 {
				token, err := d.Flow(t.Context())
				require.NoError(t, err)
				require.NotEmpty(t, token.RefreshToken)
			}
			c.Instances[0].Kill()
			require.False(t, c.Instances[0].Running())
			c.Instances[1].WaitReady(t)
			c.WaitReady(t)
			c.Instances[0].Start()
			c.Instances[0].WaitReady(t)
			require.Eventually(t, func() bool {
				_, err := d.Flow(t.Context())
				return err == nil
			}, time.Minute, 100*time.Millisecond)
		})
	}
}

func TestNoInstanceIsReady(t *testing.T) {
	c := cluster.Start(t, cluster.Config{Store: "memory:"})
	c.Instances[0].Kill()
	client := c.HTTPClient(t)
	require.Eventually(t, func() bool {
		response, err := client.Get(c.Issuer + "/healthz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "1"
	}, time.Minute, 100*time.Millisecond)
	c.Instances[0].Start()
	c.WaitReady(t)
}

// A rolling update ends one instance after the other. Load balancers notice by
// /readyz, and no flow fails.
func TestDrainedInstancesLoseNoFlow(t *testing.T) {
	c := cluster.Start(t, cluster.Config{
		Instances: 2, Store: "sqlite:" + filepath.Join(t.TempDir(), "data", "bank.db"),
		Change: func(document map[string]any) { document["drain_seconds"] = 3 },
	})
	ctx, stop := context.WithCancel(t.Context())
	d, flows := c.NewDriver(t, cluster.DriverConfig{}), make(chan error)
	go func() {
		defer close(flows)
		for ctx.Err() == nil {
			_, err := d.Flow(t.Context())
			flows <- err
		}
	}()
	finished := 0
	flow := func() {
		err, more := <-flows
		require.True(t, more)
		require.NoError(t, err)
		finished++
	}
	for _, one := range c.Instances {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			one.Stop()
		}()
		for ended := false; !ended; flow() {
			select {
			case <-stopped:
				ended = true
			default:
			}
		}
		one.Start()
		one.WaitReady(t)
		for range 5 { // the load balancer sends requests to it again
			flow()
		}
	}
	stop()
	for err := range flows {
		require.NoError(t, err)
	}
	require.Greater(t, finished, 10)
}
