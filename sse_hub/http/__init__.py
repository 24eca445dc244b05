"""The hub over HTTP: one module for each part of the interface."""
