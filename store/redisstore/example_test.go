package redisstore_test

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/redisstore"
)

// An authorization server stores used proofs and assertions in Redis, and
// everything else in a SQL database.
func Example() {
	ctx := context.Background()
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{"10.0.0.1:6379"}, Username: "fapi2", Password: "from the secret store",
		ContextTimeoutEnabled: true, // a call ends at its deadline
	})
	defer client.Close() //nolint:errcheck // the process ends
	replays, err := redisstore.New(ctx, redisstore.Config{Client: client})
	if err != nil {
		panic(err) // it names what an operator must change
	}
	var sql store.Store // for example a sqlstore.Store

	var config authserver.Config
	config.Store = sql
	config.Replay = replays
}
