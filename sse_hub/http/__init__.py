"""The hub over HTTP: one module for each thing that a client meets."""
