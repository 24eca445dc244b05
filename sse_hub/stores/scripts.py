"""The scripts by which Redis begins the stream and adds to it, each in one step, and the keys of the hub in Redis.

All keys share a hash tag, so that they lie in one slot of a cluster:

    {prefix}:events         the stream: an entry an event, `n` its ordinal, `c` channel, `t` type, `d` data, and `at`,
                            the time of its acceptance in milliseconds, if its id has another
    {prefix}:ephemeral      a short stream of ephemeral events
    {prefix}:hub            origin: the id at which this stream begins to be continuous; floor: that of all channels;
                            lost: whether that floor hides losses, and not only channels that begin anew; added,
                            removed: numbers of entries that the scripts have added and removed since; last: the newest
                            id; kept, highest: the number of floors, and the highest one; late: whether the clock is
                            behind the ids; ahead, back: the last id that was given while the clock was ahead, and the
                            time to which it was set back; scan: the last id that was checked for a channel
    {prefix}:floors         by channel, the id of the newest event that is gone
    {prefix}:begins         by channel, the floor above which it began anew when it was last forgotten whole
    {prefix}:channels       names of the channels that have events, sorted
    {prefix}:channel:NAME   the ids of a channel's events, oldest first
    {prefix}:ends           by channel that has ended, the id of its end and the reason
    {prefix}:due            channels, by the time at which an event may expire or the channel may be ended as abandoned
    {prefix}:idle           channels that end after a time without a publish, by the time of the last publish
    {prefix}:over           channels that may have more events than their history, as release 0.2 notes them; they
                            become due
    {prefix}:once:KEY       the answer to a publish with an idempotency key

An entry with `x` instead of type and data says that its channel was forgotten up to that id, on all nodes. The scripts
that read the stream are in reading_scripts.py, those that remove old entries in retention_scripts.py, and the keys of
the nodes in node_scripts.py. The updates of the Mercure protocol have the same keys after `{prefix}:mercure`.

A Redis is shared: other programs may trim the stream, add to it, or evict a key. If there are fewer entries than were
added and not removed, another program has trimmed the stream, and the floor of all channels rises to the beginning of
the stream. If there are more, the additional entries belong to other programs and are skipped. If there are fewer
floors than before, the floor of all channels rises to the highest floor that ever was. If a channel has a name and no
list, its floor rises to the end of the stream. If the newest id is below the last written one, the stream has lost its
end, and it begins again.

The time is that of Redis, so that nodes need not agree about it. The first line of a script tells Redis what to check
before it begins: that it is not a read-only replica and, for most scripts, that it has memory. Scripts are never
interrupted.
"""

from __future__ import annotations

__all__ = ["ALLOW_OOM", "APPEND", "BEGIN", "COMMON", "DENY_OOM"]

ALLOW_OOM = "#!lua flags=allow-oom\n"
"""The first line of a script that reads or removes. It must also run when memory is full (`maxmemory`)."""
DENY_OOM = "#!lua\n"
"""The first line of a script that writes. Redis refuses it when memory is full."""

COMMON = """
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
local function number(name) return tonumber(redis.call('HGET', hub, name) or '0') or 0 end
local function id(name) return redis.call('HGET', hub, name) or '0-0' end
local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields - 1, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end
-- A look at an entry copies its data. With 16 KiB, that costs as much as the look itself.
local function weight(entry) return 1 + math.floor(#(field(entry, 'd') or '') / 16384) end
local function raise(floor, anew)
  if not anew then redis.call('HSET', hub, 'lost', '1') end
  if less(id('floor'), floor) then redis.call('HSET', hub, 'floor', floor) end
end
local function lose(channel, floor, anew)
  if less(floor, redis.call('HGET', floors, channel) or '0-0') then return end
  if anew then redis.call('HSET', p .. ':begins', channel, floor) end
  if redis.call('HSET', floors, channel, floor) == 1 then redis.call('HINCRBY', hub, 'kept', 1) end
  if less(id('highest'), floor) then redis.call('HSET', hub, 'highest', floor) end
end
-- The list of a channel with events was evicted: readers cannot find these events any more.
local function note_evicted(channel)
  if redis.call('EXISTS', p .. ':channel:' .. channel) == 0 and redis.call('ZREM', p .. ':channels', channel) == 1 then
    lose(channel, last())
  end
end
local function preceding(id)
  local ms, seq = parts(id)
  return seq > 0 and text(ms) .. '-' .. text(seq - 1) or text(ms - 1) .. '-9007199254740991'
end
local function reconcile()
  local length, expected = redis.call('XLEN', stream), number('added') - number('removed')
  if length ~= expected then
    if length < expected then
      local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
      raise(first[1] and preceding(first[1][1]) or last())
    end
    redis.call('HSET', hub, 'removed', text(number('added') - length))
  end
  local kept = redis.call('HLEN', floors)
  if kept < number('kept') then raise(id('highest')) end
  if kept ~= number('kept') then redis.call('HSET', hub, 'kept', kept) end
end
local function above(after, wanted)
  local known, found = {}, {}
  if not wanted and less(after, id('highest')) then known = redis.call('HGETALL', floors) end
  for channel in pairs(wanted or {}) do
    local floor = redis.call('HGET', floors, channel)
    if floor then known[#known + 1], known[#known + 2] = channel, floor end
  end
  -- Ids of one form are compared as texts: a hub of short runs has up to 100,000 floors, and to compare their numbers
  -- takes 0.2 s, in which Redis does nothing else.
  local dash = string.find(after, '-', 1, true)
  for i = 1, #known, 2 do
    local floor, is_above = known[i + 1], nil
    if #floor == #after and string.find(floor, '-', 1, true) == dash then
      is_above = after < floor
    else
      is_above = less(after, floor)
    end
    if is_above then found[#found + 1], found[#found + 2] = known[i], floor end
  end
  if less(after, id('floor')) then found[#found + 1], found[#found + 2] = '', id('floor') end
  return found
end
"""

BEGIN = (
    ALLOW_OOM
    + COMMON
    + """
-- ARGV: the head of this node; the origin that it knows; an id up to which entries are gone for an unknown reason, or
-- ''; '1' if the floors above the head are wanted; and the last event that this node has read: id or '', ordinal,
-- channel. A stream that is new, or lacks events that the node has, or is not the one that the node knew, gets a new
-- origin above all ids ever seen, so that it is not taken for the old one. Its entries stay, so the ends among them and
-- the times of the last publishes do, too. An end whose entry is gone closes its channel no more: readers could not get
-- it. That is found by the ids alone, because a look at each entry takes a second with 100,000 ends.
local head, known, read = ARGV[1], ARGV[2], ARGV[5]
local origin = redis.call('HGET', hub, 'origin')
local newest = last()
-- Whether this stream never had the event that the node has read last. After a failover in which both servers took
-- events for a while, counts and newest ids may agree.
local function is_other()
  if read == '' or known ~= origin then return false end
  reconcile()
  local entry = redis.call('XRANGE', stream, read, read)[1]
  if entry then return field(entry, 'n') ~= ARGV[6] end
  return less(redis.call('HGET', floors, ARGV[7]) or '0-0', read) and less(id('floor'), read)
end
if not origin or less(newest, head) or less(newest, id('last'))
    or (known ~= '' and known ~= origin and not less(head, origin)) or is_other() then
  local ms = math.max(now(), (parts(head)), (parts(newest)) + 1, (parts(id('last'))) + 1)
  if ms == (parts(head)) then ms = ms + 1 end
  origin = text(ms) .. '-0'
  redis.call('XADD', stream, origin, 'origin', '1')
  redis.call('XDEL', stream, origin)
  redis.call('DEL', floors, p .. ':begins')
  local first, ends = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1], redis.call('HGETALL', p .. ':ends')
  for i = 1, #ends, 2 do
    local id = string.match(ends[i + 1], '^%d+%-%d+')
    if not first or not id or less(id, first[1]) or less(newest, id) then
      redis.call('HDEL', p .. ':ends', ends[i])
    end
  end
  redis.call('HSET', hub, 'origin', origin, 'floor', origin, 'last', origin, 'kept', '0', 'highest', '0-0',
             'added', redis.call('XLEN', stream), 'removed', '0',
             'lost', head == '0-0' and newest == '0-0' and '0' or '1')
  newest = origin
end
if redis.call('HEXISTS', hub, 'kept') == 0 then -- written by a release that did not count floors
  for _, floor in ipairs(redis.call('HVALS', floors)) do
    if less(id('highest'), floor) then redis.call('HSET', hub, 'highest', floor) end
  end
  redis.call('HSET', hub, 'kept', redis.call('HLEN', floors))
end
if redis.call('HEXISTS', hub, 'lost') == 0 then -- written by a release that knew no due channels
  redis.call('HSET', hub, 'lost', less(origin, id('floor')) and '1' or '0')
  for _, channel in ipairs(redis.call('ZRANGE', p .. ':channels', 0, -1)) do
    redis.call('ZADD', p .. ':due', 'NX', 0, channel)
  end
end
reconcile()
if ARGV[3] ~= '' then raise(ARGV[3]) end
local ephemeral = redis.call('XREVRANGE', p .. ':ephemeral', '+', '-', 'COUNT', 1)
return {origin, newest, redis.call('HGET', hub, 'added'), id('floor'), id('highest'),
        ARGV[4] == '1' and above(head) or {}, ephemeral[1] and ephemeral[1][1] or '0-0'}
"""
)

APPEND = (
    DENY_OOM
    + """
-- ARGV: origin, most entries, once-key or '', milliseconds to keep that, memo, and as JSON: by channel its history,
-- the milliseconds for which an event is kept, for which an ended channel is, and after which a silent one ends (0 for
-- never); the events: for each, channel, type, data, '1' if it is ephemeral; and the milliseconds for which an entry is
-- never removed. In the answer, '-' stands for the id of an ephemeral event.
local p = KEYS[1]
local known = redis.call('HMGET', p .. ':hub', 'origin', 'last', 'late')
if known[1] ~= ARGV[1] then return redis.error_reply('STALE the stream has begun anew') end
local once = p .. ':once:' .. ARGV[3]
if ARGV[3] ~= '' then
  local first = redis.call('HMGET', once, 'ids', 'memo')
  if first[1] then return first end
end
local rules, ends, due, idle = cjson.decode(ARGV[6]), p .. ':ends', p .. ':due', p .. ':idle'
for channel in pairs(rules) do
  local ended = redis.call('HGET', ends, channel)
  if ended then return {'ENDED', channel, string.match(ended, '%S+$')} end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local late = tonumber(string.match(known[2] or '0-0', '^%d+')) > now + 1000
if late and known[3] ~= '1' then -- the clock was ahead up to the last id, and has been set back
  redis.call('HSET', p .. ':hub', 'late', '1', 'ahead', known[2], 'back', text(now))
elseif known[3] == '1' and not late then
  redis.call('HSET', p .. ':hub', 'late', '0')
end
local ids, newest, events = {}, nil, cjson.decode(ARGV[7])
for i = 1, #events, 4 do
  local channel, type, data = events[i], events[i + 1], events[i + 2]
  local history, age, end_age, idle_end = unpack(rules[channel])
  if events[i + 3] == '1' then
    redis.call('XADD', p .. ':ephemeral', 'MAXLEN', '~', 1000, '*', 'c', channel, 't', type, 'd', data)
    ids[#ids + 1] = '-'
  else
    local n = redis.call('HINCRBY', p .. ':hub', 'added', 1)
    local event = {'n', n, 'c', channel, 't', type, 'd', data}
    if late then event[9], event[10] = 'at', text(now) end
    local id = redis.call('XADD', p .. ':events', 'MAXLEN', '~', ARGV[2], '*', unpack(event))
    newest = id
    ids[#ids + 1] = id
    local list = p .. ':channel:' .. channel
    local length = redis.call('RPUSH', list, id)
    if length == 1 and redis.call('ZADD', p .. ':channels', 0, channel) == 0 then -- it had a list, which was evicted
      local ms, seq = string.match(id, '^(%d+)-(%d+)$')
      local floor = seq == '0' and text(ms - 1) .. '-9007199254740991' or ms .. '-' .. text(seq - 1)
      if redis.call('HSET', p .. ':floors', channel, floor) == 1 then redis.call('HINCRBY', p .. ':hub', 'kept', 1) end
      redis.call('HSET', p .. ':hub', 'highest', floor)
    end
    if length > history then -- its oldest entry goes when it is old enough
      local accepted = tonumber(string.match(redis.call('LINDEX', list, 0), '^%d+'))
      redis.call('ZADD', due, 'LT', text(math.min(accepted, now) + ARGV[8]), channel)
    end
    if type == 'end' then
      redis.call('HSET', ends, channel, id .. ' ' .. cjson.decode(data).reason)
      age = end_age
    end
    if length <= 2 or type == 'end' then redis.call('ZADD', due, 'LT', text(now + age), channel) end
  end
  if type == 'end' then
    redis.call('ZREM', idle, channel)
  elseif idle_end > 0 then
    redis.call('ZADD', idle, text(now), channel)
    redis.call('ZADD', due, 'LT', text(now + idle_end), channel)
  end
end
if newest then redis.call('HSET', p .. ':hub', 'last', newest) end
local answer = {table.concat(ids, ' '), ARGV[5]}
if ARGV[3] ~= '' then
  redis.call('HSET', once, 'ids', answer[1], 'memo', answer[2])
  redis.call('PEXPIRE', once, ARGV[4])
end
return answer
"""
)
