-- Ends a claim without a result: the job waits in `delayed` until it is due.
-- KEYS: claimed:<worker>, delayed, stats
-- ARGV: payload, the payload with the workers' new note, due: 'in' or 'at', ms, the counter
-- Returns {'deferred', due}, {'already', due} (by this very claim: its answer was lost), or {'fenced'}.
-- The note has a token of this claim, so the member is new.
local claimed, delayed, stats = KEYS[1], KEYS[2], KEYS[3]
local payload, noted, due = ARGV[1], ARGV[2], tonumber(ARGV[4])

for key, wanted in pairs({[delayed] = 'zset', [stats] = 'hash'}) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('ERR ' .. key .. ' must be a ' .. wanted .. ' and is a ' .. found)
  end
end
local score = redis.call('ZSCORE', delayed, noted)
if score then
  return {'already', score}
end
if redis.call('LREM', claimed, 1, payload) == 0 then
  redis.pcall('HINCRBY', stats, 'fenced', 1)
  return {'fenced'}
end
if ARGV[3] == 'in' then
  local t = redis.call('TIME')
  due = t[1] * 1000 + math.floor(t[2] / 1000) + due
end
due = string.format('%.0f', due)
redis.call('ZADD', delayed, due, noted)
redis.pcall('HINCRBY', stats, ARGV[5], 1)
return {'deferred', due}
