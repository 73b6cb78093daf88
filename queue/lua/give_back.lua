-- Puts a claimed job back to the end that workers take from.
-- KEYS: claimed:<worker>, jobs   ARGV: payload
-- Returns 1, or 0 when the claim was lost.
local found = redis.call('TYPE', KEYS[2]).ok
if found ~= 'none' and found ~= 'list' then
  return redis.error_reply('ERR ' .. KEYS[2] .. ' must be a list and is a ' .. found)
end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
  return 0
end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
