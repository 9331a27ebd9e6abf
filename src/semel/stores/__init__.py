"""Stores: implementations of ``semel.ports.Store``. They know records, and name no state."""
