-- Ends claims: publishes their results, each once.
-- KEYS: claimed:<worker>, stats, dead, submitted, and then of each result: [done:<id>] [record:<id>] [the reply key]
-- ARGV: most dead letters, and then of each result ten: payload, token of this claim, status, TTL in ms, result, dead
--       letter or '', the id or '', replay record or '', its TTL in ms, and which of the three keys are given ('d-r')
-- Returns, for each: 'settled', 'already' (by this very claim: its answer was lost), 'fenced', 'duplicate', or
-- 'reply <type>': the reply key cannot take the result, and nothing was written. One 'settled' where all are.
-- Writes are not rolled back, so what could fail for all is asked before the first one, and a reply that fails is undone
-- by hand. LREM is that first one, which also lets the script pass when memory is full.
local claimed, stats, dead, submitted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call, pcall = redis.call, redis.pcall

for key, wanted in pairs({[stats] = 'hash', [dead] = 'list', [submitted] = 'hash'}) do
  local found = call('TYPE', key).ok
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('ERR ' .. key .. ' must be a ' .. wanted .. ' and is a ' .. found)
  end
end

local counts, ended = {}, {}
local function count(name)
  counts[name] = (counts[name] or 0) + 1
end

local function settle(at, done, record, reply)
  local payload, token, ttl_ms, letter = ARGV[at], ARGV[at + 1], ARGV[at + 3], ARGV[at + 5]
  if call('LREM', claimed, -1, payload) == 0 then
    if done and pcall('GET', done) == token then
      return 'already'
    end
    count('fenced')
    return 'fenced'
  end
  if done and not call('SET', done, token, 'PX', ttl_ms, 'NX') then
    if pcall('GET', done) == token then -- so what was taken is another claim, of the same bytes
      call('RPUSH', claimed, payload)
      return 'already'
    end
    ended[#ended + 1] = ARGV[at + 6]
    count('duplicates')
    return 'duplicate'
  end
  if reply then
    if type(pcall('LPUSH', reply, ARGV[at + 4])) ~= 'number' then
      call('RPUSH', claimed, payload)
      if done then
        call('DEL', done)
      end
      return 'reply ' .. call('TYPE', reply).ok
    end
    call('PEXPIRE', reply, ttl_ms)
  end
  if done then
    ended[#ended + 1] = ARGV[at + 6]
  end
  if record then
    call('SET', record, ARGV[at + 7], 'PX', ARGV[at + 8])
  end
  if letter ~= '' then
    call('LPUSH', dead, letter)
    call('LTRIM', dead, 0, tonumber(ARGV[1]) - 1)
    count('dead')
  end
  count('processed')
  count('status:' .. ARGV[at + 2])
  return 'settled'
end

local answers, all_settled, key = {}, true, 5
local function next_key(given)
  if given == '-' then
    return nil
  end
  key = key + 1
  return KEYS[key - 1]
end
for at = 2, #ARGV, 10 do
  local given = ARGV[at + 9]
  local done, record, reply = next_key(given:sub(1, 1)), next_key(given:sub(2, 2)), next_key(given:sub(3, 3))
  local answer = settle(at, done, record, reply)
  answers[#answers + 1] = answer
  all_settled = all_settled and answer == 'settled'
end
if #ended > 0 then
  call('HDEL', submitted, unpack(ended))
end
for name, n in pairs(counts) do
  pcall('HINCRBY', stats, name, n) -- a field that somebody made no number must not undo what stands
end
return all_settled and 'settled' or answers
