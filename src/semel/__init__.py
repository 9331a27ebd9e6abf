"""Semel creates an account once, whole, or not at all."""

from semel.administration import AccountUpdate, ApiKeyPage, InvitationPage
from semel.api_keys import MadeApiKey, Scope
from semel.config import Settings
from semel.face import AccountPage, Readiness, Reason, Semel, SignedInAccount
from semel.invitations import Invite, MadeInvitation
from semel.model import Account, ApiKey, Identity, Invitation, Registration, Secret
from semel.ports import Also, Row, Tokens
from semel.protocol.engine import Registered
from semel.states import Door, InvitationState

__all__ = [
    "Account",
    "AccountPage",
    "AccountUpdate",
    "Also",
    "ApiKey",
    "ApiKeyPage",
    "Door",
    "Identity",
    "Invitation",
    "InvitationPage",
    "InvitationState",
    "Invite",
    "MadeApiKey",
    "MadeInvitation",
    "Readiness",
    "Reason",
    "Registered",
    "Registration",
    "Row",
    "Scope",
    "Secret",
    "Semel",
    "Settings",
    "SignedInAccount",
    "Tokens",
]
