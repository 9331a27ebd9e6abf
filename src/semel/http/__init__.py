"""Semel over HTTP: the server as a whole, or its parts for a FastAPI application of your own."""

from semel.http.app import create_app, document, router
from semel.http.dependencies import current_account

__all__ = ["create_app", "current_account", "document", "router"]
