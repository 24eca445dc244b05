"""The stores, which keep events before they are delivered. Every store is a `sse_hub.core.ports.Store`.

memory.py    keeps events in the hub's log only; they end with the process
batches.py   collects items during a write and writes them together in the next one
entries.py   reads events back from a store
sqlite.py    a file of this machine: schema.py has its tables, database.py writes it, retention.py knows what it retains
             and when that expires, reading.py reads it
redis.py     a stream that any number of nodes share: redis_connection.py connects, follower.py follows the stream,
             and the scripts, which Redis runs in one step, are in scripts.py, retention_scripts.py and node_scripts.py
"""
