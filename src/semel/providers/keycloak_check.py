"""The look at a realm when Semel starts: whatever would go wrong at every sign-up, or without a word, stops it.

Above all rights: without them a search is answered 200 and lists nobody, which must not be taken for absence.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from semel.errors import ConfigurationInvalid
from semel.ports import Unknown
from semel.providers.http import Answer, Http, Request
from semel.providers.keycloak_answers import ID, PROOF
from semel.providers.keycloak_http import CREDENTIALS, TOKEN
from semel.providers.keycloak_options import KeycloakOptions

__all__ = ["check"]

_NO_USER: Final = Request("POST", TOKEN, form={"grant_type": "password"})
"""A sign-in of nobody: whether the client may is said before the username is missed, so that no attempt is counted."""
_ROLE: Final = "give its service account the role manage-users of the client realm-management"


async def check(ways: tuple[Http, Http, Http], options: KeycloakOptions, deadline: float) -> bool:
    """Ask by the ways of the client, of its service account and of the client for sign-in.

    Whether all was answered: what is still to be asked may be wrong.

    Raises ``ConfigurationInvalid`` for the first thing that is surely wrong; what does not answer is not.
    """
    client, admin, sign_in = ways
    for way, request, judge in (
        (client, CREDENTIALS, _client),
        (admin, Request("GET", "/users", _service_account(options.client_id)), _rights),
        (admin, Request("GET", ""), _realm),
        (admin, Request("GET", "/users/profile"), _profile),
        (sign_in, _NO_USER, partial(_sign_in, apart=options.sign_in_client_id is not None)),
    ):
        answer = await way.send(request, deadline)
        if isinstance(answer, Unknown) or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return False
        judge(answer)
    return True


def _service_account(client_id: str) -> dict[str, str]:
    return {"username": f"service-account-{client_id}", "exact": "true", "briefRepresentation": "false"}


def _client(answer: Answer) -> None:
    if answer.status == HTTPStatus.OK and isinstance(answer.body, dict):
        return
    if answer.status == HTTPStatus.NOT_FOUND and answer.code == "Realm does not exist":
        raise ConfigurationInvalid("url names a realm that the server does not have")
    if answer.code == "invalid_client":
        raise ConfigurationInvalid("client_id or client_secret is refused: the realm has no such client")
    if answer.code == "unauthorized_client":
        raise ConfigurationInvalid(
            "client_secret is refused, or the client of client_id has no service account: switch on its client"
            " authentication and service account, and copy its secret anew"
        )
    if answer.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
        raise ConfigurationInvalid("url leads to no Keycloak server")


def _rights(answer: Answer) -> None:
    """Judge a look for the service account, which is surely there. It is listed with what the asker may do to it."""
    listed = answer.body if isinstance(answer.body, list) else []
    access = [user.get("access") for user in listed if isinstance(user, dict)]
    manages = [each for each in access if isinstance(each, dict) and each.get("manage") is True]
    if answer.status == HTTPStatus.FORBIDDEN or (answer.status == HTTPStatus.OK and not manages):
        raise ConfigurationInvalid(f"client_id names a client that may not manage users: {_ROLE}")


def _realm(answer: Answer) -> None:
    realm = answer.body if answer.status == HTTPStatus.OK and isinstance(answer.body, dict) else {}
    if realm.get("registrationEmailAsUsername") is True:
        raise ConfigurationInvalid(
            'url leads to a realm that has "Email as username" switched on: switch it off in the realm settings, Login'
        )


def _profile(answer: Answer) -> None:
    """Judge the user profile: what it does not declare is dropped without a word, what people may write is no proof."""
    profile = answer.body if answer.status == HTTPStatus.OK and isinstance(answer.body, dict) else {}
    declared = profile.get("attributes")
    if not isinstance(declared, list):
        return
    names = {each.get("name"): each for each in declared if isinstance(each, dict)}
    for name in (ID, PROOF):
        undeclared_is_kept = name not in names and profile.get("unmanagedAttributePolicy") == "ADMIN_EDIT"
        if not undeclared_is_kept and _editors(names.get(name)) != ["admin"]:
            raise ConfigurationInvalid(
                f"url leads to a realm whose user profile lacks the attribute {name}, or lets others than"
                " administrators edit it: declare it, for administrators alone, in the realm settings, User profile"
            )


def _editors(attribute: dict[str, Any] | None) -> object:
    permissions = attribute.get("permissions") if attribute else None
    return permissions.get("edit") if isinstance(permissions, dict) else None


def _sign_in(answer: Answer, *, apart: bool) -> None:
    """Judge the sign-in of nobody; ``apart`` where the client for sign-in is another one."""
    prefix = "sign_in_" if apart else ""
    if answer.status == HTTPStatus.BAD_REQUEST and answer.code == "unauthorized_client":
        raise ConfigurationInvalid(
            f'{prefix}client_id names a client without "Direct access grants": switch them on in its settings'
        )
    if answer.status == HTTPStatus.UNAUTHORIZED and answer.code in {"invalid_client", "unauthorized_client"}:
        raise ConfigurationInvalid(f"{prefix}client_id or {prefix}client_secret is refused: copy them anew")
