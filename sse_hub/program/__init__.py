"""The program around the hub: the parts of `sse_server.py`."""
