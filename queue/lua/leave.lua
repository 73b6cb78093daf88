-- A worker goes: its lease, and whatever Redis gave it that never arrived.
-- KEYS: workers, claimed:<worker>, jobs, worker:<worker>   ARGV: worker
-- Returns the number of jobs put back.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[4])
local count = 0
while redis.call('LMOVE', KEYS[2], KEYS[3], 'LEFT', 'RIGHT') do
  count = count + 1
end
return count
