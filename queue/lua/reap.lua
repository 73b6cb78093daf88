-- Gives back what dead workers hold: those whose lease is past, and owners of claimed lists that have no lease at all.
-- KEYS: workers, jobs, stats, claimed:<reaper>
-- ARGV: reaper, 'P:{Q}:claimed:', deaths of workers that one job may cost, jobs to move at most, ms between two
--       searches for orphans, then names of workers that own a claimed list
-- Returns {1 when there is more to do, 1 when the caller should search for orphans, {worker, jobs, …}, {payload, …}}.
-- The payloads have cost too many workers: they are now the reaper's own claims, and it settles them.
local workers, jobs, stats, own = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local reaper, prefix, deaths_max, budget = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local reaped, lost, given_back = {}, {}, 0

-- One more death in the workers' note (queue/job.h), which is text spliced in front of the producer's own: how many,
-- and the payload with it. What is no object with a member can never run; it has no note.
local function count_death(job)
  local _, to, deaths = job:find('^{"isoq":{"deaths":(%d+)')
  if deaths then
    deaths = tonumber(deaths) + 1
    return deaths, '{"isoq":{"deaths":' .. deaths .. job:sub(to + 1)
  end
  local members = job:match('^%s*{%s*()[^}%s]')
  return 1, members and '{"isoq":{"deaths":1},' .. job:sub(members) or job
end

-- From the newest claim on, each to the taking end: the oldest ends up next to be taken, as it was. Returns true
-- when nothing is left.
local function take_from(worker)
  local list, count = prefix .. worker, 0
  if redis.call('TYPE', list).ok ~= 'list' then
    return true
  end
  local job = redis.call('LINDEX', list, 0)
  while job and budget > 0 do
    budget = budget - 1
    count = count + 1
    local deaths, noted = count_death(job)
    if deaths >= deaths_max then
      redis.call('LMOVE', list, own, 'LEFT', 'LEFT')
      lost[#lost + 1] = job
    else
      redis.call('LPOP', list)
      redis.call('RPUSH', jobs, noted)
      given_back = given_back + 1
    end
    job = redis.call('LINDEX', list, 0)
  end
  reaped[#reaped + 1] = worker
  reaped[#reaped + 1] = count
  return not job
end

local found = redis.call('TYPE', jobs).ok
if found ~= 'none' and found ~= 'list' then
  return redis.error_reply('ERR ' .. jobs .. ' must be a list and is a ' .. found)
end
local more, search = 0, 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', now, 'LIMIT', 0, 20)) do
  if worker ~= reaper then
    if take_from(worker) then
      redis.call('ZREM', workers, worker)
    else
      more = 1
    end
  end
end
for i = 6, #ARGV do
  if ARGV[i] ~= reaper and not redis.call('ZSCORE', workers, ARGV[i]) then
    if not take_from(ARGV[i]) then
      search = 1 -- only a search names it again
    end
  end
end
if #reaped > 0 then
  redis.pcall('HINCRBY', stats, 'given_back', given_back)
  redis.pcall('HINCRBY', stats, 'workers_lost', #reaped / 2)
end

-- Otherwise one worker of all searches, now and then: a search reads every key there is.
if now - (tonumber(redis.call('HGET', stats, 'orphans_searched_at_ms')) or 0) >= tonumber(ARGV[5]) then
  redis.call('HSET', stats, 'orphans_searched_at_ms', now)
  search = 1
end
return {more, search, reaped, lost}
