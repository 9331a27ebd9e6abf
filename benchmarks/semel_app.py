"""Semel's server as it ships, but for the hash, which costs nothing."""

from __future__ import annotations

from fastapi import FastAPI

from semel.cli.opened import read_settings
from semel.face import Semel
from semel.http import create_app
from semel.providers.embedded import EmbeddedPasswords
from semel.testing.hashers import CheapHasher

__all__ = ["application"]


def application() -> FastAPI:
    """Return the application, with the settings of the environment."""
    settings = read_settings()
    return create_app(settings, semel=Semel(settings, provider=EmbeddedPasswords(CheapHasher())))
