"""Where events are kept before they are delivered. Every store is a `sse_hub.core.ports.Store`.

memory.py    events live in the hub's log alone and go with the process
batches.py   what waits while a write is under way goes into the next one, together
entries.py   what a store holds, read back
sqlite.py    a file of this machine: database.py writes it, reading.py reads it
redis.py     a stream that any number of nodes share: line.py has the connections, follower.py follows the stream,
             scripts.py has what Redis does in one step
"""
