"""The scripts by which Redis applies rules: they remove old events, end silent channels and forget deleted ones.

Only the nodes know the rules: a node asks which channels are due (DUE) and gives their rules (TRIM). All nodes do so;
work that one node has done is not due for the others. The keys are described in scripts.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.rules import Rule
from ..core.subscription import Subscription, spans
from .scripts import ALLOW_OOM, COMMON, READING

__all__ = ["BEGINNING", "DUE", "FORGET", "LATEST", "REVIEW", "STATE", "TRIM", "numbers", "ranges"]

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
local from, removed, done = redis.call('HGET', hub, 'scan'), 0, false
local some = redis.call('XRANGE', stream, from and '(' .. from or '-', '+', 'COUNT', 100)
for _, entry in ipairs(some) do
  if accepted(entry) > time - tonumber(ARGV[1]) then
    done = true
    break
  end
  from = entry[1]
  local channel = field(entry, 'c')
  local first = channel and redis.call('LINDEX', p .. ':channel:' .. channel, 0)
  if not first or less(entry[1], first) then
    removed = removed + redis.call('XDEL', stream, entry[1])
    if channel and not field(entry, 'x') then lose(channel, entry[1]) end
  end
end
if done or #some < 100 then redis.call('HDEL', hub, 'scan') else redis.call('HSET', hub, 'scan', from) end
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
local found = redis.call('ZRANGEBYSCORE', p .. ':due', '-inf', text(time), 'LIMIT', 0, ARGV[2])
for _, channel in ipairs(redis.call('SRANDMEMBER', p .. ':over', 20)) do found[#found + 1] = channel end
return {origin, found}
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
local function entry_of(id) return redis.call('XRANGE', stream, id, id)[1] end
local function abandon(channel, list)
  local data = '{"channel":' .. cjson.encode(channel) .. ',"reason":"abandoned"}'
  local event = {'n', redis.call('HINCRBY', hub, 'added', 1), 'c', channel, 't', 'end', 'd', data}
  if number('late') == 1 then event[9], event[10] = 'at', text(time) end
  local id = redis.call('XADD', stream, '*', unpack(event))
  redis.call('RPUSH', list, id)
  redis.call('HSET', hub, 'last', id)
  redis.call('HSET', ends, channel, id .. ' abandoned')
  redis.call('ZREM', idle, channel)
  return id
end
local function look(channel, history, age, end_age, idle_end, least)
  local list = p .. ':channel:' .. channel
  local length, next = redis.call('LLEN', list), nil
  local ended = redis.call('HGET', ends, channel)
  ended = ended and string.match(ended, '^%S+')
  if not ended and idle_end > 0 and length > 0 then
    local at = tonumber(redis.call('ZSCORE', idle, channel) or '')
    if not at or at > time then
      local newest = entry_of(redis.call('LINDEX', list, -1))
      at = math.min(newest and accepted(newest) or time, time)
      redis.call('ZADD', idle, text(at), channel)
    end
    next = at + idle_end
    if next <= time then ended, length = abandon(channel, list), length + 1 end
  end
  local whole = false
  if ended then
    local entry = entry_of(ended)
    next = (entry and accepted(entry) or 0) + math.max(end_age, grace)
    whole, least = next <= time, 1
    if whole then least = 0 end
  end
  local gone
  while left > 0 and length > least do
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
  if left <= 0 then next = time end
  if gone then lose(channel, gone, whole and length == 0) end
  if length == 0 then
    redis.call('ZREM', p .. ':channels', channel)
    redis.call('HDEL', ends, channel)
    redis.call('ZREM', idle, channel)
    next = nil
  end
  if length <= math.max(history, least) then redis.call('SREM', p .. ':over', channel) end
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
redis.call('ZREM', p .. ':idle', channel)
redis.call('SREM', p .. ':over', channel)
local n = redis.call('HINCRBY', hub, 'added', 1)
redis.call('HSET', hub, 'last', redis.call('XADD', stream, '*', 'n', n, 'c', channel, 'x', floor))
return 0
"""
)

BEGINNING = (
    READING
    + """
-- ARGV: channels, or none for all of them. Returns the first id, whether the floor of all channels hides losses of
-- these channels, the channels that have lost events of their beginning, and the floors above the first id. All of this
-- is read at one moment, because a reader is never informed of these floors later.
reconcile()
local begins, lost, found, first, wanted = p .. ':begins', id('lost') == '1', {}, nil, nil
local function look(channel, floor)
  if floor and redis.call('HGET', begins, channel) ~= floor then found[#found + 1] = channel end
end
-- Whether the channel, which began anew above its floor, has lost nothing since, although the floor of all channels may
-- be higher: the first of the ids that it has had since is above that one.
local function is_whole(floor, oldest)
  if not less(floor, id('floor')) or not oldest then return true end
  return less(id('floor'), oldest) and #redis.call('XRANGE', stream, oldest, oldest) > 0
end
if #ARGV == 0 then
  local all = lost and {} or redis.call('HGETALL', floors)
  for i = 1, #all, 2 do look(all[i], all[i + 1]) end
  local entry = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  first = entry and entry[1]
else
  local whole = true
  wanted = {}
  for _, channel in ipairs(ARGV) do
    local floor = redis.call('HGET', floors, channel)
    local oldest = redis.call('LINDEX', p .. ':channel:' .. channel, 0)
    wanted[channel] = true
    whole = whole and floor and is_whole(floor, oldest)
    look(channel, floor)
    if oldest and (not first or less(oldest, first)) then first = oldest end
  end
  lost = lost and not whole
end
return {first or '', lost and 1 or 0, found, above(first and preceding(first) or position[2], wanted)}
"""
)

LATEST = (
    READING
    + """
-- ARGV: largest number of channels; largest number of entries of a channel to look at; types as JSON; then ranges of
-- names: first, last, ... Returns the names, and the newest wanted entry of each.
local p, most, look = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local wanted, any, names, found = {}, true, {}, {}
for _, type in ipairs(cjson.decode(ARGV[3])) do wanted[type], any = true, false end
local function newest(channel)
  for i = 1, any and 1 or look do
    local id = redis.call('LINDEX', p .. ':channel:' .. channel, -i)
    if not id then return end
    local entry = redis.call('XRANGE', p .. ':events', id, id)[1]
    for j = 1, entry and #entry[2] - 1 or 0, 2 do
      if entry[2][j] == 't' and (any or wanted[entry[2][j + 1]]) then return entry end
    end
  end
end
for i = 4, #ARGV - 1, 2 do
  local left = most - #names
  if left < 1 then break end
  for _, channel in ipairs(redis.call('ZRANGEBYLEX', p .. ':channels', ARGV[i], ARGV[i + 1], 'LIMIT', 0, left)) do
    names[#names + 1] = channel
    local entry = newest(channel)
    if entry then found[#found + 1] = entry end
  end
end
return {names, found}
"""
)

STATE = (
    READING
    + """
return {redis.call('EXISTS', KEYS[1] .. ':channel:' .. ARGV[1]), redis.call('HGET', KEYS[1] .. ':ends', ARGV[1]) or ''}
"""
)


def numbers(rule: Rule) -> Sequence[int]:
    """A rule as the scripts take it: history, milliseconds of age, of age after the end, and of silence; and how many
    events stay."""
    idle_end_ms = 0 if rule.idle_end is None else round(rule.idle_end * 1000)
    return rule.history, round(rule.history_age_ms), round(rule.end_age_ms), idle_end_ms, rule.least


def ranges(subscription: Subscription, after: str) -> list[str]:
    """The sorted ranges of names, as Redis writes them, that hold the subscription's channels after a name."""
    found: list[str] = []
    for key, is_beginning in spans(subscription, after):
        first = f"[{key}" if key > after else f"({after}"
        found += [first, f"[{key}" + ("\U0010ffff" if is_beginning else "")]
    return found
