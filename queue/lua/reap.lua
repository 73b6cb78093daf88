-- Gives back what dead workers hold: those whose lease is past, and owners of claimed lists that have no lease at all.
-- KEYS: workers, jobs, deaths, stats, claimed:<reaper>
-- ARGV: reaper, 'P:{Q}:claimed:', deaths of workers that one job may cost, jobs to move at most, ms between two
--       searches for orphans, ms that a count of deaths is kept, then names of workers that own a claimed list
-- Returns {1 when there is more to do, 1 when the caller should search for orphans, {worker, jobs, …}, {payload, …}}.
-- The payloads have cost too many workers: they are now the reaper's own claims, and it settles them.
local workers, jobs, deaths, stats, own = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local reaper, prefix, deaths_max, budget = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local reaped, lost, given_back = {}, {}, 0

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
    if redis.call('HINCRBY', deaths, redis.sha1hex(job), 1) >= deaths_max then
      redis.call('LMOVE', list, own, 'LEFT', 'LEFT')
      lost[#lost + 1] = job
    else
      redis.call('LMOVE', list, jobs, 'LEFT', 'RIGHT')
      given_back = given_back + 1
    end
    job = redis.call('LINDEX', list, 0)
  end
  reaped[#reaped + 1] = worker
  reaped[#reaped + 1] = count
  return not job
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
for i = 7, #ARGV do
  if ARGV[i] ~= reaper and not redis.call('ZSCORE', workers, ARGV[i]) then
    if not take_from(ARGV[i]) then
      search = 1 -- only a search names it again
    end
  end
end
if #reaped > 0 then
  redis.call('PEXPIRE', deaths, ARGV[6])
  redis.pcall('HINCRBY', stats, 'given_back', given_back)
  redis.pcall('HINCRBY', stats, 'workers_lost', #reaped / 2)
end

-- Otherwise one worker of all searches, now and then: a search reads every key there is.
if now - (tonumber(redis.call('HGET', stats, 'orphans_searched_at_ms')) or 0) >= tonumber(ARGV[5]) then
  redis.call('HSET', stats, 'orphans_searched_at_ms', now)
  search = 1
end
return {more, search, reaped, lost}
