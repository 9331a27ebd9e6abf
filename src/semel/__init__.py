"""Semel creates an account once, whole, or not at all."""

from semel.config import Settings
from semel.face import AccountPage, Readiness, Reason, Semel, SignedInAccount
from semel.model import Account, Identity, Registration, Secret
from semel.ports import Also, Row, Tokens
from semel.protocol.engine import Registered
from semel.states import Door

__all__ = [
    "Account",
    "AccountPage",
    "Also",
    "Door",
    "Identity",
    "Readiness",
    "Reason",
    "Registered",
    "Registration",
    "Row",
    "Secret",
    "Semel",
    "Settings",
    "SignedInAccount",
    "Tokens",
]
