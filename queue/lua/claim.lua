-- Takes up to N waiting jobs for one worker, oldest first.
-- KEYS: jobs, claimed:<worker>, workers   ARGV: worker, N
-- Returns the payloads; false when the worker has no lease: what it took then would look like an orphan.
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return false
end
local taken = {}
for i = 1, tonumber(ARGV[2]) do
  local job = redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT')
  if not job then
    break
  end
  taken[i] = job
end
return taken
