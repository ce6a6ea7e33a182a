package storage

import (
	"context"
	"errors"
	"net/url"

	"github.com/redis/go-redis/v9"

	"github.com/gofapi/fapi2/store/redisstore"
)

func parseRedis(u *url.URL) (Name, error) {
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return Name{}, err
	}
	options.ContextTimeoutEnabled = true
	open := func(ctx context.Context, cfg Config) (*Storage, error) {
		client := redis.NewClient(options)
		opened, err := redisstore.New(ctx, redisstore.Config{Client: client, Logger: cfg.Logger})
		if err != nil {
			return nil, errors.Join(err, client.Close())
		}
		return &Storage{
			Store: opened,
			count: func(ctx context.Context) (int64, error) { return client.DBSize(ctx).Result() },
			close: client.Close,
		}, nil
	}
	return Name{kind: "Redis", open: open}, nil
}
