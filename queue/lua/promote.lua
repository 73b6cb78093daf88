-- Jobs that are due go to the waiting end of the queue, the one that was due first in front.
-- KEYS: delayed, jobs   ARGV: how many at most
-- Returns {how many, ms until the next one is due; -1: there is none}.
local delayed, jobs = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local found = redis.call('TYPE', jobs).ok
if found ~= 'none' and found ~= 'list' then
  return redis.error_reply('ERR ' .. jobs .. ' must be a list and is a ' .. found)
end
local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, job in ipairs(due) do
  redis.call('ZREM', delayed, job)
  redis.call('LPUSH', jobs, job)
end
local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if not first[2] then
  return {#due, -1}
end
return {#due, math.max(0, math.ceil(tonumber(first[2]) - now))}
