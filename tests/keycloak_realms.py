"""The realms of the tests' Keycloak, as documents for its import: some as they must be, and others."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["CLIENT", "PEOPLE", "REALMS", "SECRET"]

SECRET: Final = "kc: s%cret+of the tests/never to be seen".replace(" ", "_")  # what a header must have encoded
CLIENT: Final = "semel"
PEOPLE: Final = "people"
"""A client that signs people in, and may nothing else."""

_OURS: Final = ("semel_id", "semel_proof")
_EVERYBODY: Final = ["admin", "user"]


def _client(name: str, **changes: object) -> dict[str, Any]:
    given: dict[str, Any] = {
        "clientId": name,
        "enabled": True,
        "secret": SECRET,
        "publicClient": False,
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        "directAccessGrantsEnabled": True,
        "fullScopeAllowed": True,
    }
    return {**given, **changes}


def _service_account(client: str, *roles: str) -> dict[str, Any]:
    granted = {"clientRoles": {"realm-management": list(roles)}} if roles else {}
    return {
        "username": f"service-account-{client}",
        "enabled": True,
        "serviceAccountClientId": client,
        **granted,
    }


def _attribute(name: str, editors: list[str], validations: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"name": name, "validations": validations, "permissions": {"view": _EVERYBODY, "edit": editors}, **more}


def _profile(*, names_required: bool, editors: list[str] | None) -> dict[str, Any]:
    """Return a user profile. ``editors`` may edit our attributes, which are missing where that is ``None``."""
    required = {"required": {"roles": ["user"]}} if names_required else {}
    short, person = {"length": {"max": 255}}, {"length": {"max": 255}, "person-name-prohibited-characters": {}}
    username = {"length": {"min": 3, "max": 255}, "username-prohibited-characters": {}}
    attributes = [
        _attribute("username", _EVERYBODY, {**username, "up-username-not-idn-homograph": {}}),
        _attribute("email", _EVERYBODY, {"email": {}, **short}),
        _attribute("firstName", _EVERYBODY, person, **required),
        _attribute("lastName", _EVERYBODY, person, **required),
        *(_attribute(name, editors, {}) for name in _OURS if editors is not None),
    ]
    document = msgspec.json.encode({"attributes": attributes}).decode()
    return {"providerId": "declarative-user-profile", "config": {"kc.user.profile.config": [document]}}


def _realm(
    name: str, *, names_required: bool = False, editors: list[str] | None = None, **changes: object
) -> dict[str, Any]:
    profile = _profile(names_required=names_required, editors=["admin"] if editors is None else editors or None)
    return {
        "realm": name,
        "enabled": True,
        "sslRequired": "none",
        "clients": [_client(CLIENT), _client(PEOPLE, serviceAccountsEnabled=False)],
        "users": [_service_account(CLIENT, "manage-users")],
        "components": {"org.keycloak.userprofile.UserProfileProvider": [profile]},
        **changes,
    }


_POOR: Final = {
    "sees-nobody": ["query-users"],
    "only-sees": ["view-users"],
    "may-nothing": [],
}
"""Clients that may too little, and what they may."""

REALMS: Final = (
    _realm(
        "semel",
        clients=[
            _client(CLIENT),
            _client(PEOPLE, serviceAccountsEnabled=False),
            _client("grants-nothing", directAccessGrantsEnabled=False),
            *map(_client, _POOR),
        ],
        users=[
            _service_account(CLIENT, "manage-users"),
            _service_account("grants-nothing", "manage-users"),
            *(_service_account(client, *roles) for client, roles in _POOR.items()),
        ],
    ),
    _realm("chaos"),
    _realm("races"),
    _realm("strict", names_required=True, passwordPolicy="length(8) and digits(1)"),
    _realm("email-as-username", registrationEmailAsUsername=True),
    _realm("undeclared", editors=[]),
    _realm("forgeable", editors=_EVERYBODY),
)
"""Each is imported once into the database that every server of the tests begins with a copy of."""
