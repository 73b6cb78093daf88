-- Takes up to N waiting jobs for one worker, oldest first.
-- KEYS: jobs, claimed:<worker>, workers   ARGV: worker, N
-- Returns the payloads; false when the worker has no lease: what it took then would look like an orphan.
-- The first one goes by LMOVE, which Redis refuses when memory is full, as it should; the others in two commands.
local jobs, claimed = KEYS[1], KEYS[2]
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return false
end
local first = redis.call('LMOVE', jobs, claimed, 'RIGHT', 'LEFT')
if not first then
  return {}
end
local more = tonumber(ARGV[2]) - 1
local rest = more > 0 and redis.call('RPOP', jobs, more)
if not rest then
  return {first}
end
redis.call('LPUSH', claimed, unpack(rest))
return {first, unpack(rest)}
