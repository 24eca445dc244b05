"""The stores, which keep events before they are delivered. Every store is a `sse_hub.core.ports.Store`.

memory.py    keeps events in the hub's log only; they end with the process
batches.py   collects items during a write and writes them together in the next one
entries.py   reads events back from a store
sqlite.py    a file of this machine: database.py writes it, reading.py reads it
redis.py     a stream that any number of nodes share: line.py has the connections, follower.py follows the stream,
             scripts.py has what Redis does in one step
"""
