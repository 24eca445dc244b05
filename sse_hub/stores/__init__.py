"""Where events are kept before they are delivered. Every store is a `sse_hub.ports.Store`.

address.py  what --store says
memory.py   events live in the hub's log alone and go with the process
batches.py  what waits while a write is under way goes into the next one, together
sqlite.py   a file of this machine; database.py has its tables and everything that blocks
redis.py    a stream that any number of nodes share; scripts.py has what Redis does in one step
choice.py   which of them the settings ask for
"""
