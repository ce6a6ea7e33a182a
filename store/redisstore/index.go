package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/store"
)

// A set is one sorted set of Redis, whose elements have the score 0 and are
// therefore in the order of their bytes. An element is the member, a space and
// the time at which it expires, in Unix milliseconds. A space and an
// exclamation mark come before all characters of members.

// setPrefix is between the prefix and the name of a set. No entry has such a
// key.
const setPrefix = "set:"

// putScript returns 1 if the expiry has passed by the server's clock, and
// otherwise the time of the server in milliseconds. It removes some members
// that have expired. It always writes, because WAIT waits for the writes of its
// own connection.
var putScript = newScript(`local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local member, ends = ARGV[1], ARGV[2]
if now >= tonumber(ends) then return 1 end
for _, old in ipairs(redis.call('ZRANDMEMBER', KEYS[1], 3)) do
	if tonumber(string.match(old, '%d+$')) <= now then redis.call('ZREM', KEYS[1], old) end
end
for _, old in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '[' .. member .. ' ', '(' .. member .. '!')) do
	local before = string.sub(old, #member + 2)
	if tonumber(before) > tonumber(ends) then ends = before end
	redis.call('ZREM', KEYS[1], old)
end
redis.call('ZADD', KEYS[1], 0, member .. ' ' .. ends)
if redis.call('PTTL', KEYS[1]) < ends - now then redis.call('PEXPIREAT', KEYS[1], ends) end
return now`)

// deleteScript also writes if there is nothing to delete and replicas must
// confirm.
var deleteScript = newScript(`local found = redis.call('ZRANGEBYLEX', KEYS[1],
	'[' .. ARGV[1] .. ' ', '(' .. ARGV[1] .. '!')
if #found == 0 then
	if ARGV[2] == '0' then return 0 end
	redis.call('ZADD', KEYS[1], 0, ' ')
	found[1] = ' '
end
for _, old in ipairs(found) do redis.call('ZREM', KEYS[1], old) end
return 0`)

// listScript removes the members that have expired among those that it reads.
var listScript = newScript(`local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local from, limit, live = ARGV[1], tonumber(ARGV[2]), {}
repeat
	local page = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, limit)
	for _, element in ipairs(page) do
		from = '(' .. element
		local member, ends = string.match(element, '^(.+) (%d+)$')
		if tonumber(ends) <= now then
			redis.call('ZREM', KEYS[1], element)
		else
			live[#live + 1] = member
			if #live == limit then return live end
		end
	end
until #page < limit
return live`)

const (
	maxMember = store.MaxMember
	maxList   = store.MaxList
)

// Put implements store.Index.
func (s *Store) Put(ctx context.Context, set, member string, expires time.Time) error {
	end, err := s.end(ctx, expires)
	if err != nil {
		return err
	}
	if err := checkMember(member); err != nil {
		return err
	}
	// The client does not repeat this write. Another process could have deleted
	// the member since, and the repetition would put it again.
	w := &write{entry: []byte(member), once: true}
	replies, err := s.script(ctx, putScript, s.prefix+setPrefix+set, w, w, end)
	if err != nil {
		return failed("Put", err)
	}
	result, _ := replies[0].(int64)
	if result <= 1 {
		return pastExpiry(expires)
	}
	_, err = s.succeeded(true, result, replies)
	return err
}

// Delete implements store.Index.
func (s *Store) Delete(ctx context.Context, set, member string) error {
	if err := cmp.Or(ctx.Err(), checkMember(member)); err != nil {
		return failed("Delete", err)
	}
	w := &write{entry: []byte(member), once: true} // as for Put
	replies, err := s.script(ctx, deleteScript, s.prefix+setPrefix+set, w, w, s.replicas)
	if err != nil {
		return failed("Delete", err)
	}
	_, err = s.succeeded(true, 0, replies)
	return err
}

// List implements store.Index.
func (s *Store) List(ctx context.Context, set, after string, limit int) (members []string, err error) {
	if err := cmp.Or(ctx.Err(), checkMember(cmp.Or(after, "-"))); err != nil {
		return nil, failed("List", err)
	}
	if limit < 1 || limit > maxList {
		return nil, fmt.Errorf("redisstore: List: %w: limit %d, want 1 to %d", store.ErrInvalid, limit, maxList)
	}
	from := "-" // of Redis: the beginning
	if after != "" {
		from = "(" + after + "!"
	}
	replies, err := s.script(ctx, listScript, s.prefix+setPrefix+set, new(write), from, limit)
	if err != nil {
		return nil, failed("List", err)
	}
	page, ok := replies[0].([]any)
	for _, one := range page {
		member, isText := one.(string)
		members, ok = append(members, member), ok && isText
	}
	if !ok {
		return nil, ErrEntry
	}
	return members, nil
}

// checkMember rejects members that would break the form of elements.
func checkMember(member string) error {
	if member == "" || len(member) > maxMember {
		return fmt.Errorf("%w: member of %d bytes, want 1 to %d", store.ErrInvalid, len(member), maxMember)
	}
	for _, c := range []byte(member) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("%w: malformed member", store.ErrInvalid)
		}
	}
	return nil
}
