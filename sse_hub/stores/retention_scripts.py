"""The scripts by which Redis applies rules: they remove old events, end silent channels and forget deleted ones.

Only the nodes know the rules: a node asks which channels are due (DUE) and gives their rules (TRIM). All nodes do so;
work that one node has done is not due for the others. The keys are described in scripts.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.rules import Rule
from .scripts import ALLOW_OOM, COMMON

__all__ = ["DUE", "FORGET", "REVIEW", "TRIM", "numbers"]

_ACCEPTED = """
local ahead, back, time = id('ahead'), number('back'), now()
-- When an entry was accepted, by a clock that was right.
local function accepted(entry)
  local at = tonumber(field(entry, 'at') or '') or (parts(entry[1]))
  if at > back and back > 0 and not less(ahead, entry[1]) then return back end
  return at
end
"""

DUE = (
    ALLOW_OOM
    + COMMON
    + """
-- ARGV: ms for which the longest rule keeps an entry; largest number of channels. An entry that no channel has belongs
-- to another program, or its list was evicted. It is removed here.
local origin = redis.call('HGET', hub, 'origin')
if not origin then return {'', {}} end
reconcile()
local newest = last()
if (parts(newest)) > now() + 1000 and number('late') == 0 then
  redis.call('HSET', hub, 'late', '1', 'ahead', newest, 'back', text(now()))
end
"""
    + _ACCEPTED
    + """
local from, removed, left, done = redis.call('HGET', hub, 'scan'), 0, 100, false
while left > 0 and not done do
  local some = redis.call('XRANGE', stream, from and '(' .. from or '-', '+', 'COUNT', 10)
  done = #some < 10
  for _, entry in ipairs(some) do
    if accepted(entry) > time - tonumber(ARGV[1]) then
      done = true
      break
    end
    from, left = entry[1], left - weight(entry)
    local channel = field(entry, 'c')
    local first = channel and redis.call('LINDEX', p .. ':channel:' .. channel, 0)
    if not first or less(entry[1], first) then
      removed = removed + redis.call('XDEL', stream, entry[1])
      if channel and not field(entry, 'x') then lose(channel, entry[1]) end
    end
  end
end
if done then redis.call('HDEL', hub, 'scan') else redis.call('HSET', hub, 'scan', from) end
if removed > 0 then redis.call('HINCRBY', hub, 'removed', removed) end
local floors_most = 100000
if redis.call('HLEN', floors) > floors_most then
  -- First those of channels that began anew: they hide no loss.
  local all, gone, begins = redis.call('HGETALL', floors), '0-0', p .. ':begins'
  for i = 1, #all, 2 do
    if redis.call('HGET', begins, all[i]) == all[i + 1] then
      redis.call('HDEL', floors, all[i])
      if less(gone, all[i + 1]) then gone = all[i + 1] end
    end
  end
  raise(gone, true)
  if redis.call('HLEN', floors) > floors_most / 2 then
    raise(id('highest'))
    redis.call('DEL', floors)
  end
  redis.call('DEL', begins)
  redis.call('HSET', hub, 'kept', redis.call('HLEN', floors))
end
local due = p .. ':due'
for _, channel in ipairs(redis.call('SPOP', p .. ':over', ARGV[2])) do redis.call('ZADD', due, 'LT', 0, channel) end
return {origin, redis.call('ZRANGEBYSCORE', due, '-inf', text(time), 'LIMIT', 0, ARGV[2])}
"""
)

TRIM = (
    ALLOW_OOM
    + COMMON
    + _ACCEPTED
    + """
-- ARGV: ms for which an entry is never removed, for nodes that are slow to read; largest number of entries to remove;
-- and by channel, as JSON: its history, the ms for which an event is kept, the ms for which an ended channel is kept,
-- the ms after which a silent channel ends (0 for never), and the number of events that never expire by age.
local grace, left, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local ends, due, idle = p .. ':ends', p .. ':due', p .. ':idle'
local function entry_of(id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then left = left - weight(entry) + 1 end
  return entry
end
local function abandon(channel, list)
  local data = '{"channel":' .. cjson.encode(channel) .. ',"reason":"abandoned"}'
  local event = {'n', redis.call('HINCRBY', hub, 'added', 1), 'c', channel, 't', 'end', 'd', data}
  if number('late') == 1 then event[9], event[10] = 'at', text(time) end
  local id = redis.call('XADD', stream, '*', unpack(event))
  redis.call('RPUSH', list, id)
  redis.call('ZADD', p .. ':channels', 0, channel)
  redis.call('HSET', hub, 'last', id)
  redis.call('HSET', ends, channel, id .. ' abandoned')
  redis.call('ZREM', idle, channel)
  return id
end
-- The time of the last publish to a channel that may end as abandoned; nil if it is not in use. Ephemeral events leave
-- no entry.
local function published(channel, list)
  local at = tonumber(redis.call('ZSCORE', idle, channel) or '')
  local newest = redis.call('LINDEX', list, -1)
  if (at and at <= time) or not (at or newest) then return at end
  newest = newest and entry_of(newest)
  at = math.min(newest and accepted(newest) or time, time)
  redis.call('ZADD', idle, text(at), channel)
  return at
end
local function look(channel, history, age, end_age, idle_end, least)
  local list = p .. ':channel:' .. channel
  redis.call('PERSIST', list) -- release 0.2 lets lists expire
  note_evicted(channel)
  local length, next, at = redis.call('LLEN', list), nil, nil
  local ended = redis.call('HGET', ends, channel)
  ended = ended and string.match(ended, '^%S+')
  if not ended and idle_end > 0 then
    at = published(channel, list)
    next = at and at + idle_end
    if next and next <= time and (length > 0 or idle_end <= age) then
      ended, length = abandon(channel, list), length + 1
    end
  end
  local whole = false
  if ended then
    local entry = entry_of(ended)
    next = (entry and accepted(entry) or 0) + math.max(end_age, grace)
    whole, least = next <= time, 1
    if whole then least = 0 end
  end
  local gone
  while length > least do
    if left <= 0 then
      next = time
      break
    end
    local id = redis.call('LINDEX', list, 0)
    local entry = entry_of(id)
    local at = entry and accepted(entry) or 0
    local expires = ended and (whole and 0 or math.huge) or at + age
    if length > history then expires = 0 end
    expires = math.max(expires, at + grace)
    if expires > time then
      if expires < (next or math.huge) then next = expires end
      break
    end
    redis.call('LPOP', list)
    removed = removed + redis.call('XDEL', stream, id)
    gone, length, left = id, length - 1, left - 1
  end
  if gone then lose(channel, gone, whole and length == 0) end
  if length == 0 then
    redis.call('ZREM', p .. ':channels', channel)
    redis.call('HDEL', ends, channel)
    if at and not ended and at + age > time then -- it is known for as long as it would keep an event
      next = at + math.min(idle_end, age)
    else
      redis.call('ZREM', idle, channel)
      next = nil
    end
  end
  if next then redis.call('ZADD', due, text(next), channel) else redis.call('ZREM', due, channel) end
end
for channel, rule in pairs(cjson.decode(ARGV[3])) do
  if left <= 0 then break end
  look(channel, unpack(rule))
end
if removed > 0 then redis.call('HINCRBY', hub, 'removed', removed) end
return left <= 0 and 1 or 0
"""
)

REVIEW = (
    ALLOW_OOM
    + """
-- ARGV: channels, which are due now.
for _, channel in ipairs(ARGV) do redis.call('ZADD', KEYS[1] .. ':due', 'LT', 0, channel) end
"""
)

FORGET = (
    ALLOW_OOM
    + COMMON
    + """
-- ARGV: channel; largest number of entries to remove; '1' after the first call. Returns 1 if another call is needed.
reconcile()
local channel, left, removed = ARGV[1], tonumber(ARGV[2]), 0
local list = p .. ':channel:' .. channel
local gone
note_evicted(channel)
redis.call('ZREM', p .. ':idle', channel)
if ARGV[3] ~= '1' and redis.call('EXISTS', list) == 0 and redis.call('HEXISTS', p .. ':ends', channel) == 0 then
  return 0
end
while left > 0 do
  local id = redis.call('LPOP', list)
  if not id then break end
  removed = removed + redis.call('XDEL', stream, id)
  gone, left = id, left - 1
end
if removed > 0 then redis.call('HINCRBY', hub, 'removed', removed) end
if redis.call('EXISTS', list) == 1 then
  lose(channel, gone)
  return 1
end
local floor = last()
lose(channel, floor, true)
redis.call('HDEL', p .. ':ends', channel)
redis.call('ZREM', p .. ':channels', channel)
redis.call('ZREM', p .. ':due', channel)
local n = redis.call('HINCRBY', hub, 'added', 1)
redis.call('HSET', hub, 'last', redis.call('XADD', stream, '*', 'n', n, 'c', channel, 'x', floor))
return 0
"""
)


def numbers(rule: Rule) -> Sequence[int]:
    """A rule as the scripts take it: history, milliseconds of age, of age after the end, and of silence; and how many
    events stay."""
    idle_end_ms = 0 if rule.idle_end is None else round(rule.idle_end * 1000)
    return rule.history, round(rule.history_age_ms), round(rule.end_age_ms), idle_end_ms, rule.least
