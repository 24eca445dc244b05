"""The program around the hub: what `sse_server.py` is put together from."""
