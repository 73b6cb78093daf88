-- Forgets an id whose job is nowhere to be found, unless it was submitted anew meanwhile.
-- KEYS: submitted   ARGV: id, the time that stood there when the search began
-- Returns 1, or 0 when there was nothing to forget.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call('HDEL', KEYS[1], ARGV[1])
