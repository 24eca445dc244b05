"""The scripts by which nodes read the stream in Redis and the channels in it, each in one step.

Each runs only in the stream that its node knows. The keys are described in scripts.py.
"""

from __future__ import annotations

from ..core.subscription import Subscription, spans
from .scripts import ALLOW_OOM, COMMON

__all__ = ["BEGINNING", "CHANNELS", "HEADS", "LAST", "LATEST", "PAGE", "STATE", "ranges"]

_READING = (
    ALLOW_OOM
    + COMMON
    + """
-- The last of ARGV is what this node knows of the stream, as JSON: its origin, and the id and the ordinal of the last
-- entry that the node has read. A stream that has begun anew, or that was restored from a copy, has no events and no
-- floors for what is gone. So nothing may be read from it before the node has informed its subscribers.
local position = cjson.decode(table.remove(ARGV))
if id('origin') ~= position[1] or less(last(), position[2]) or number('added') < position[3] then
  return redis.error_reply('STALE the stream has begun anew')
end
"""
)

_WANTED = """
-- The channels from this argument on, in order and as a set. Without any, all channels are wanted and the set is nil.
local function wanted_from(first)
  local channels, wanted = {}, nil
  for i = first, #ARGV do
    wanted = wanted or {}
    channels[#channels + 1], wanted[ARGV[i]] = ARGV[i], true
    note_evicted(ARGV[i])
  end
  return channels, wanted
end
-- The nearest id in the lists of these channels: the first above an id, or the last up to it. Nil if there is none.
local function nearest(channels, id, is_above)
  local found
  for _, channel in ipairs(channels) do
    local list = p .. ':channel:' .. channel
    local low, high = 0, redis.call('LLEN', list)
    while low < high do
      local middle = math.floor((low + high) / 2)
      if less(id, redis.call('LINDEX', list, middle)) then high = middle else low = middle + 1 end
    end
    local index = is_above and low or low - 1
    local each = index >= 0 and redis.call('LINDEX', list, index)
    if each and (not found or less(each, found) == is_above) then found = each end
  end
  return found
end
-- A quiet channel is found by its list, because a busy one may have a million entries in between. A search in a list
-- costs as much as a look at an entry. It is done after this number of entries that are not wanted, and not for more
-- channels than this: one of them mostly comes before the search has paid off.
local pause, most_searched = 10, 100
local function may_search(channels, missed, entries)
  return #channels > 0 and #channels <= most_searched and missed >= pause and entries >= 2 * #channels
end
"""

PAGE = (
    _READING
    + _WANTED
    + """
-- ARGV: after, up to, most entries to look at, most bytes, then the channels, or none for all of them.
reconcile()
local after, upto, entries, bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local channels, wanted = wanted_from(5)
local found, reached, missed = {}, after, pause
while entries > 0 and bytes > 0 do
  if may_search(channels, missed, entries) then
    local next = nearest(channels, reached, true)
    if not next or less(upto, next) then
      reached = upto
      break
    end
    reached, entries, missed = preceding(next), entries - #channels, 0
  end
  local some = redis.call('XRANGE', stream, '(' .. reached, upto, 'COUNT', 10)
  for _, entry in ipairs(some) do
    if entries <= 0 or bytes <= 0 then break end
    reached, entries = entry[1], entries - weight(entry)
    local channel, data = field(entry, 'c'), field(entry, 'd')
    missed = missed + 1
    if channel and data and (not wanted or wanted[channel]) then
      found[#found + 1] = {entry[1], entry[2]}
      bytes, missed = bytes - #data, 0
    end
  end
  if #some < 10 and entries > 0 and bytes > 0 then
    reached = upto
    break
  end
end
return {reached, above(after, wanted), found}
"""
)

LAST = _READING + "return last()"

HEADS = (
    _READING
    + _WANTED
    + """
-- ARGV: an id, or '+' for the last one; most entries to look at; then the channels, or none for all of them. Returns
-- the id to go on from, '' at the beginning of the stream; and the newest entries up to the id, newest first: id,
-- channel, type.
local upto, entries = ARGV[1] == '+' and last() or ARGV[1], tonumber(ARGV[2])
local channels, wanted = wanted_from(3)
local found, missed = {}, pause
while entries > 0 and upto ~= '' do
  if may_search(channels, missed, entries) then
    upto, entries, missed = nearest(channels, upto, false), entries - #channels, 0
    if not upto then return {'', found} end
  end
  local some = redis.call('XREVRANGE', stream, upto, '-', 'COUNT', math.min(entries, 10))
  for _, entry in ipairs(some) do
    local channel = field(entry, 'c') or ''
    found[#found + 1] = {entry[1], channel, field(entry, 't') or ''}
    upto, entries = preceding(entry[1]), entries - weight(entry)
    missed = wanted and wanted[channel] and 0 or missed + 1
  end
  if #some == 0 then upto = '' end
end
return {upto, found}
"""
)

CHANNELS = (
    _READING
    + """
-- ARGV: a name, most channels. The retained events of channels whose names come after it.
local p, after, left, found = KEYS[1], ARGV[1], tonumber(ARGV[2]), {}
local names = p .. ':channels'
while left > 0 do
  local some = redis.call('ZRANGEBYLEX', names, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, left)
  for _, channel in ipairs(some) do
    after = channel
    local list = p .. ':channel:' .. channel
    local length = redis.call('LLEN', list)
    if length == 0 then
      note_evicted(channel)
    else
      found[#found + 1] = {channel, length, redis.call('LINDEX', list, 0), redis.call('LINDEX', list, -1)}
      left = left - 1
    end
  end
  if #some == 0 then break end
end
return found
"""
)

BEGINNING = (
    _READING
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
    note_evicted(channel)
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
    _READING
    + """
-- ARGV: most channels; most bytes; most entries of a channel to look at; types as JSON; then ranges of names: first,
-- last, ... Returns the names, the newest wanted entry of each, and whether there may be more names.
local p, most, bytes, look = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local wanted, any, names, found = {}, true, {}, {}
for _, type in ipairs(cjson.decode(ARGV[4])) do wanted[type], any = true, false end
local function newest(channel)
  for i = 1, any and 1 or look do
    local id = redis.call('LINDEX', p .. ':channel:' .. channel, -i)
    if not id then return end
    local entry = redis.call('XRANGE', p .. ':events', id, id)[1]
    bytes = bytes - #(entry and field(entry, 'd') or '')
    for j = 1, entry and #entry[2] - 1 or 0, 2 do
      if entry[2][j] == 't' and (any or wanted[entry[2][j + 1]]) then return entry end
    end
  end
end
for i = 5, #ARGV - 1, 2 do
  local left = most - #names
  for _, channel in ipairs(redis.call('ZRANGEBYLEX', p .. ':channels', ARGV[i], ARGV[i + 1], 'LIMIT', 0, left)) do
    names[#names + 1] = channel
    local entry = newest(channel)
    if entry then found[#found + 1] = entry end
    if bytes <= 0 or #names == most then return {names, found, 1} end
  end
end
return {names, found, 0}
"""
)

STATE = (
    _READING
    + """
return {redis.call('EXISTS', KEYS[1] .. ':channel:' .. ARGV[1]), redis.call('HGET', KEYS[1] .. ':ends', ARGV[1]) or ''}
"""
)


def ranges(subscription: Subscription, after: str) -> list[str]:
    """The sorted ranges of names, as Redis writes them, that hold the subscription's channels after a name."""
    found: list[str] = []
    for key, is_beginning in spans(subscription, after):
        first = f"[{key}" if key > after else f"({after}"
        found += [first, f"[{key}" + ("\U0010ffff" if is_beginning else "")]
    return found
