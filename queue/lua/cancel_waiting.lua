-- Ends a job that nobody has claimed: takes it out of where it waits, and publishes its result, once.
-- KEYS: jobs or delayed, stats, submitted, dead, done:<id> [, the reply key]
-- ARGV: payload, id, token, status, TTL in ms, result, dead letter or '', most dead letters
-- Returns {'cancelled'}, {'gone'} (it is not there any more), {'done'} (there is a result), or {'reply', type}: the
-- reply key cannot take the result; in these three cases nothing was written.
-- As in settle.lua, whatever could fail is asked before the first write, which is one that frees memory.
local from, stats, submitted, dead, done, reply = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local payload, id, token, status, ttl_ms, result, letter = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local function type_of(key)
  return redis.call('TYPE', key).ok
end

if redis.call('EXISTS', done) == 1 then
  return {'done'}
end
for key, wanted in pairs({[stats] = 'hash', [submitted] = 'hash', [dead] = 'list'}) do
  local found = type_of(key)
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('ERR ' .. key .. ' must be a ' .. wanted .. ' and is a ' .. found)
  end
end
local reply_type = reply and type_of(reply)
if reply and reply_type ~= 'none' and reply_type ~= 'list' then
  return {'reply', reply_type}
end

local removed
if type_of(from) == 'zset' then
  removed = redis.call('ZREM', from, payload)
else
  removed = redis.call('LREM', from, 1, payload)
end
if removed == 0 then
  return {'gone'}
end
redis.call('HDEL', submitted, id)
redis.call('SET', done, token, 'PX', ttl_ms)
if reply then
  redis.call('LPUSH', reply, result)
  redis.call('PEXPIRE', reply, ttl_ms)
end
if letter ~= '' then
  redis.call('LPUSH', dead, letter)
  redis.call('LTRIM', dead, 0, tonumber(ARGV[8]) - 1)
  redis.pcall('HINCRBY', stats, 'dead', 1)
end
redis.pcall('HINCRBY', stats, 'processed', 1)
redis.pcall('HINCRBY', stats, 'status:' .. status, 1)
return {'cancelled'}
