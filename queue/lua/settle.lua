-- Ends a claim: publishes its result, once.
-- KEYS: claimed:<worker>, stats, dead, submitted [, done:<id> [, record:<id>]] [, the reply key]
-- ARGV: payload, token of this claim, status, TTL in ms, result, dead letter or '', most dead letters,
--       '1' if done:<id> is given, '1' if the reply key is, the id or '' [, replay record, its TTL in ms]
-- Returns {'settled'}, {'already'} (by this very claim: its answer was lost), {'fenced'}, {'duplicate'}, or
-- {'reply', type}: the reply key cannot take the result, and nothing was written.
-- Writes are not rolled back, so whatever could fail is asked before the first one. LREM is that first one, which
-- also lets the script pass when memory is full.
local claimed, stats, dead, submitted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local payload, token, status, ttl_ms, result, letter = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local done = ARGV[8] == '1' and KEYS[5]
local reply = ARGV[9] == '1' and KEYS[#KEYS]
local record = ARGV[11] and KEYS[6]

local function type_of(key)
  return redis.call('TYPE', key).ok
end

local done_type = done and type_of(done)
if done_type == 'string' and redis.call('GET', done) == token then
  return {'already'}
end
for key, wanted in pairs({[stats] = 'hash', [dead] = 'list', [submitted] = 'hash'}) do
  local found = type_of(key)
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('ERR ' .. key .. ' must be a ' .. wanted .. ' and is a ' .. found)
  end
end
local reply_type = reply and type_of(reply)
if reply and reply_type ~= 'none' and reply_type ~= 'list' then
  return {'reply', reply_type}
end

if redis.call('LREM', claimed, 1, payload) == 0 then
  redis.pcall('HINCRBY', stats, 'fenced', 1)
  return {'fenced'}
end
if done then
  redis.call('HDEL', submitted, ARGV[10])
end
if done and done_type ~= 'none' then
  redis.pcall('HINCRBY', stats, 'duplicates', 1)
  return {'duplicate'}
end
if done then
  redis.call('SET', done, token, 'PX', ttl_ms)
end
if record then
  redis.call('SET', record, ARGV[11], 'PX', ARGV[12])
end
if reply then
  redis.call('LPUSH', reply, result)
  redis.call('PEXPIRE', reply, ttl_ms)
end
if letter ~= '' then
  redis.call('LPUSH', dead, letter)
  redis.call('LTRIM', dead, 0, tonumber(ARGV[7]) - 1)
  redis.pcall('HINCRBY', stats, 'dead', 1)
end
-- pcall: a field that somebody made no number must not undo what stands.
redis.pcall('HINCRBY', stats, 'processed', 1)
redis.pcall('HINCRBY', stats, 'status:' .. status, 1)
return {'settled'}
