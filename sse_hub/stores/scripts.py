"""What Redis does in one step: the scripts of the Redis store, and the keys that they keep.

All keys share a hash tag, so that they lie in one slot of a cluster:

    {prefix}:events         the stream: an entry an event, `n` its ordinal, `c` channel, `t` type, `d` data
    {prefix}:ephemeral      a short stream of ephemeral events
    {prefix}:hub            origin: the id at which this stream begins to be continuous; floor: that of all channels;
                            added, removed: entries that the scripts have put in and taken out since
    {prefix}:floors         by channel, the id of the newest event that is gone
    {prefix}:channel:NAME   the ids of a channel's events, oldest first
    {prefix}:over           channels that may have more events than their history
    {prefix}:once:KEY       what was answered to an idempotency key
    {prefix}:node:ID, :nodes, :lease:NAME    which nodes are alive, and what each has said

Where the entries that are there are not those added less those removed, somebody else has trimmed the stream: the floor
of all channels rises to where it now begins. Time is Redis' own: nodes need not agree on it.
"""

from __future__ import annotations

__all__ = ["APPEND", "BEGIN", "EXCHANGE", "LEASE", "LEAVE", "PAGE", "TRIM"]

_COMMON = """
local p = KEYS[1]
local hub, stream, floors = p .. ':hub', p .. ':events', p .. ':floors'
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end
local function last()
  if redis.call('EXISTS', stream) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end
local function number(name) return tonumber(redis.call('HGET', hub, name) or '0') end
local function reconcile()
  local length = redis.call('XLEN', stream)
  if number('added') - number('removed') == length then return end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
  local floor = last()
  if first[1] then
    local ms, seq = parts(first[1][1])
    floor = seq > 0 and text(ms) .. '-' .. text(seq - 1) or text(ms - 1) .. '-9007199254740991'
  end
  if less(redis.call('HGET', hub, 'floor') or '0-0', floor) then redis.call('HSET', hub, 'floor', floor) end
  redis.call('HSET', hub, 'removed', text(number('added') - length))
end
"""

BEGIN = (
    _COMMON
    + """
-- ARGV: the head of this node, the origin that it knows. A stream that is new, or lacks what the node has had, or is
-- not the one that the node knew, gets a new origin above all ids ever seen: nobody takes it for the old one.
local head, known = ARGV[1], ARGV[2]
local origin = redis.call('HGET', hub, 'origin')
local newest = last()
if not origin or less(newest, head) or (known ~= '' and known ~= origin and not less(head, origin)) then
  local ms = math.max(now(), (parts(head)), (parts(newest)) + 1)
  if ms == (parts(head)) then ms = ms + 1 end
  origin = text(ms) .. '-0'
  redis.call('XADD', stream, origin, 'origin', '1')
  redis.call('XDEL', stream, origin)
  redis.call('DEL', floors)
  redis.call('HSET', hub, 'origin', origin, 'floor', origin, 'added', redis.call('XLEN', stream), 'removed', '0')
  newest = origin
end
reconcile()
local ephemeral = redis.call('XREVRANGE', p .. ':ephemeral', '+', '-', 'COUNT', 1)
return {origin, newest, redis.call('HGET', hub, 'added'), redis.call('HGET', hub, 'floor'),
        redis.call('HGETALL', floors), ephemeral[1] and ephemeral[1][1] or '0-0'}
"""
)

APPEND = """
-- ARGV: origin, history, most entries, milliseconds to keep a quiet channel, once-key or '', milliseconds to keep that,
-- memo, and for each event channel, type, data, '1' if it is ephemeral.
local p = KEYS[1]
if redis.call('HGET', p .. ':hub', 'origin') ~= ARGV[1] then
  return redis.error_reply('STALE the stream has begun anew')
end
local once = p .. ':once:' .. ARGV[5]
if ARGV[5] ~= '' then
  local first = redis.call('HMGET', once, 'ids', 'memo')
  if first[1] then return first end
end
local ids = {}
for i = 8, #ARGV, 4 do
  local channel, type, data = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if ARGV[i + 3] == '1' then
    redis.call('XADD', p .. ':ephemeral', 'MAXLEN', '~', 1000, '*', 'c', channel, 't', type, 'd', data)
    ids[#ids + 1] = '-'
  else
    local n = redis.call('HINCRBY', p .. ':hub', 'added', 1)
    local event = {'n', n, 'c', channel, 't', type, 'd', data}
    local id = redis.call('XADD', p .. ':events', 'MAXLEN', '~', ARGV[3], '*', unpack(event))
    ids[#ids + 1] = id
    local list = p .. ':channel:' .. channel
    if redis.call('RPUSH', list, id) > tonumber(ARGV[2]) then redis.call('SADD', p .. ':over', channel) end
    redis.call('PEXPIRE', list, ARGV[4])
  end
end
local answer = {table.concat(ids, ' '), ARGV[7]}
if ARGV[5] ~= '' then
  redis.call('HSET', once, 'ids', answer[1], 'memo', answer[2])
  redis.call('PEXPIRE', once, ARGV[6])
end
return answer
"""

TRIM = (
    _COMMON
    + """
-- ARGV: history, age in ms, ms for which an event stays in any case, most events to take out. What is younger than the
-- third stays for nodes that are slow to read.
local origin = redis.call('HGET', hub, 'origin')
if not origin then return {'', 0} end
reconcile()
local history, left, time, removed = tonumber(ARGV[1]), tonumber(ARGV[4]), now(), 0
for _, channel in ipairs(redis.call('SRANDMEMBER', p .. ':over', 20)) do
  local list = p .. ':channel:' .. channel
  local excess, gone = redis.call('LLEN', list) - history, nil
  while excess > 0 and left > 0 do
    local id = redis.call('LINDEX', list, 0)
    if parts(id) > time - tonumber(ARGV[3]) then break end
    redis.call('LPOP', list)
    removed = removed + redis.call('XDEL', stream, id)
    gone, excess, left = id, excess - 1, left - 1
  end
  if gone then redis.call('HSET', floors, channel, gone) end
  if excess <= 0 then redis.call('SREM', p .. ':over', channel) end
end
local horizon = text(math.max(time - math.max(tonumber(ARGV[2]), tonumber(ARGV[3])), 0))
local old = redis.call('XRANGE', stream, '-', horizon, 'COUNT', math.min(left, 200) + 1)
for _, entry in ipairs(old) do
  local id, channel = entry[1], entry[2][4]
  redis.call('HSET', floors, channel, id)
  local list = p .. ':channel:' .. channel
  if redis.call('LINDEX', list, 0) == id then redis.call('LPOP', list) end
end
if old[1] then
  local ms, seq = parts(old[#old][1])
  removed = removed + redis.call('XTRIM', stream, 'MINID', '=', text(ms) .. '-' .. text(seq + 1))
end
if removed > 0 then redis.call('HINCRBY', hub, 'removed', removed) end
if redis.call('HLEN', floors) > 100000 then
  local highest = redis.call('HGET', hub, 'floor')
  for _, floor in ipairs(redis.call('HVALS', floors)) do
    if less(highest, floor) then highest = floor end
  end
  redis.call('HSET', hub, 'floor', highest)
  redis.call('DEL', floors)
end
return {origin, (left <= 0 or #old > 200) and 1 or 0}
"""
)

PAGE = (
    _COMMON
    + """
-- ARGV: after, up to, most entries to look at, most bytes, then the channels, or none for all of them.
reconcile()
local after, upto, entries, bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local wanted
for i = 5, #ARGV do
  wanted = wanted or {}
  wanted[ARGV[i]] = true
end
local found, reached = {}, after
while entries > 0 and bytes > 0 do
  local some = redis.call('XRANGE', stream, '(' .. reached, upto, 'COUNT', 50)
  for _, entry in ipairs(some) do
    if entries <= 0 or bytes <= 0 then break end
    reached, entries = entry[1], entries - 1
    local fields = entry[2]
    if not wanted or wanted[fields[4]] then
      found[#found + 1] = {entry[1], fields[4], fields[6], fields[8]}
      bytes = bytes - #fields[8]
    end
  end
  if #some < 50 and entries > 0 and bytes > 0 then
    reached = upto
    break
  end
end
local known = wanted and {} or redis.call('HGETALL', floors)
for i = 5, #ARGV do
  local floor = redis.call('HGET', floors, ARGV[i])
  if floor then known[#known + 1], known[#known + 2] = ARGV[i], floor end
end
return {reached, redis.call('HGET', hub, 'floor') or '0-0', known, found}
"""
)

LEASE = """
local holder = redis.call('GET', KEYS[1] .. ':lease:' .. ARGV[2])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1] .. ':lease:' .. ARGV[2], ARGV[1], 'PX', ARGV[3])
return 1
"""

EXCHANGE = """
-- ARGV: this node, its entry, milliseconds for which that holds.
local p, node = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', p .. ':node:' .. node, ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', p .. ':nodes', now, node)
redis.call('ZREMRANGEBYSCORE', p .. ':nodes', '-inf', now - ARGV[3])
local entries = {}
for _, other in ipairs(redis.call('ZRANGE', p .. ':nodes', 0, -1)) do
  local entry = other ~= node and redis.call('GET', p .. ':node:' .. other)
  if entry then entries[#entries + 1] = entry end
end
return entries
"""

LEAVE = """
redis.call('DEL', KEYS[1] .. ':node:' .. ARGV[1])
redis.call('ZREM', KEYS[1] .. ':nodes', ARGV[1])
local lease = KEYS[1] .. ':lease:' .. ARGV[2]
if redis.call('GET', lease) == ARGV[1] then redis.call('DEL', lease) end
"""
