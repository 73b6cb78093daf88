-- Queues a job, unless its id is known.
-- KEYS: jobs, delayed, submitted, done:<id>
-- ARGV: id, payload, delay in ms, not before (ms since 1970); both 0: at once
-- Returns {'queued', 0} or {'delayed', ms until it is due}; or, where the id was known and nothing was written,
-- {'done', 0} or {'waiting', ms since it was submitted}.
-- The push is the first write: it is the one that may fail, and a script is not rolled back.
local jobs, delayed, submitted, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, payload = ARGV[1], ARGV[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

if redis.call('EXISTS', done) == 1 then
  return {'done', 0}
end
local since = redis.call('HGET', submitted, id)
if since then
  return {'waiting', math.max(0, now - (tonumber(since) or now))}
end

local due = math.max(now + tonumber(ARGV[3]), tonumber(ARGV[4]))
if due > now then
  redis.call('ZADD', delayed, due, payload)
else
  redis.call('LPUSH', jobs, payload)
end
redis.call('HSET', submitted, id, now)
return {due > now and 'delayed' or 'queued', due - now}
