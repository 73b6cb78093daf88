-- Queues the job of a dead letter again.
-- KEYS: dead, jobs, submitted [, done:<id>, reply:<id>]   ARGV: letter, payload, id or ''
-- Returns {'retried', 0}; or, with nothing written, {'gone', 0} (there is no such letter any more) or
-- {'waiting', ms since it was submitted}: a job of this id is queued already.
-- What stands in done and reply is the result that the letter has too. It must go: the job could not be settled
-- otherwise, and who waits would be told of the past.
local dead, jobs, submitted, done, reply = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local letter, payload, id = ARGV[1], ARGV[2], ARGV[3]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local found = redis.call('TYPE', jobs).ok
if found ~= 'none' and found ~= 'list' then
  return redis.error_reply('ERR ' .. jobs .. ' must be a list and is a ' .. found)
end
local since = id ~= '' and redis.call('HGET', submitted, id)
if since then
  return {'waiting', math.max(0, now - (tonumber(since) or now))}
end
if redis.call('LREM', dead, 1, letter) == 0 then
  return {'gone', 0}
end
redis.call('LPUSH', jobs, payload)
if id ~= '' then
  redis.call('DEL', done, reply)
  redis.call('HSET', submitted, id, now)
end
return {'retried', 0}
