"""The scripts by which nodes inform each other in Redis, and the keys that they keep.

    {prefix}:nodes          the nodes that are alive, with the time of their last message
    {prefix}:follows:ID     the number of subscribers at a node, by subscription
    {prefix}:changes        a short stream of changes of these numbers
    {prefix}:lease:NAME     the node that has a lease

They have the hash tag of scripts.py. A node that sends nothing for a while is forgotten with all its keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from .scripts import ALLOW_OOM, DENY_OOM

__all__ = ["EXCHANGE", "LEASE", "LEAVE", "counts_of"]

LEASE = (
    DENY_OOM
    + """
local holder = redis.call('GET', KEYS[1] .. ':lease:' .. ARGV[2])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1] .. ':lease:' .. ARGV[2], ARGV[1], 'PX', ARGV[3])
return 1
"""
)

EXCHANGE = (
    DENY_OOM
    + """
-- ARGV: this node, milliseconds for which it is alive, '1' if its changes are all that it has, the last change that
-- it has read, most changes to read, then its changes: subscription, count, ...
local p, node, alive, all, last, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nodes, changes, mine = p .. ':nodes', p .. ':changes', p .. ':follows:' .. node
local forgotten = not all and redis.call('EXISTS', mine) == 0
if all then redis.call('DEL', mine) end
if not forgotten then
  redis.call('HSET', mine, '', '0') -- so that it exists
  for i = 6, #ARGV, 2 do
    if ARGV[i + 1] == '0' then redis.call('HDEL', mine, ARGV[i]) else redis.call('HSET', mine, ARGV[i], ARGV[i + 1]) end
  end
  redis.call('PEXPIRE', mine, alive)
  if all or #ARGV > 5 then
    redis.call('XADD', changes, 'MAXLEN', '~', 1000, '*', 'n', node, 'a', all and '1' or '0',
               'c', cjson.encode({unpack(ARGV, 6)}))
  end
end
redis.call('ZADD', nodes, now, node)
redis.call('ZREMRANGEBYSCORE', nodes, '-inf', now - alive)
local others = redis.call('ZRANGE', nodes, 0, -1)
local newest, found = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1], {}
if last == '' or redis.call('XRANGE', changes, last, last)[1] == nil then
  -- Changes that it has not read may be gone, so it gets the state of every node.
  for _, other in ipairs(others) do
    if other ~= node then found[#found + 1] = {other, '1', redis.call('HGETALL', p .. ':follows:' .. other)} end
  end
  return {forgotten and 1 or 0, newest and newest[1] or '', others, found, 0}
end
local entries = redis.call('XRANGE', changes, '(' .. last, '+', 'COUNT', most)
for _, entry in ipairs(entries) do
  local fields = entry[2]
  last = entry[1]
  if fields[2] ~= node then found[#found + 1] = {fields[2], fields[4], cjson.decode(fields[6])} end
end
return {forgotten and 1 or 0, last, others, found, #entries == most and 1 or 0}
"""
)

LEAVE = (
    ALLOW_OOM
    + """
-- ARGV: this node, then the names of the leases that it has taken.
redis.call('DEL', KEYS[1] .. ':follows:' .. ARGV[1])
redis.call('ZREM', KEYS[1] .. ':nodes', ARGV[1])
for i = 2, #ARGV do
  local lease = KEYS[1] .. ':lease:' .. ARGV[i]
  if redis.call('GET', lease) == ARGV[1] then redis.call('DEL', lease) end
end
"""
)


def counts_of(flat: Sequence[str]) -> dict[str, int]:
    """The counts by subscription in the result of `EXCHANGE`."""
    return {key: int(count) for key, count in zip(flat[::2], flat[1::2], strict=True) if key and count.isdecimal()}
