-- Renews one worker's lease, by Redis' own clock, and tells what the worker says of itself.
-- KEYS: workers, claimed:<worker>, worker:<worker>   ARGV: worker, lease in ms, JSON for whoever asks
-- Returns {1 when there was a lease, else 0; how many jobs the worker holds}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
-- ZREM first: when memory is full, Redis refuses a script whose first write would grow, and no lease may end by that.
local had = redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[2])
return {had, redis.call('LLEN', KEYS[2])}
