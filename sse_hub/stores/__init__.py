"""Where events are kept before they are delivered. Every store is a `sse_hub.hub.Store`.

memory.py   events live in the hub's log alone and go with the process
"""
