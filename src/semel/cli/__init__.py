"""The command ``semel``."""

from semel.cli.app import main

__all__ = ["main"]
