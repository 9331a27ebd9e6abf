"""``supabase-auth``, the official Python client, unchanged, against ``semel serve``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final
from uuid import uuid4

import pytest
from supabase_auth import SyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError
from supabase_auth.types import SignOutScope

from tests.gotrue.clients import OTHER_PASSWORD, PASSWORD, Clients, somebody

CROWD: Final = 10


@pytest.fixture
def anon(clients: Clients) -> SyncGoTrueClient:
    return clients.anon()


@pytest.fixture
def service(clients: Clients) -> SyncGoTrueClient:
    return clients.service()


def signed_up(anon: SyncGoTrueClient, email: str) -> str:
    """Sign up; return the user's id."""
    reply = anon.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"name": "Ada"}}})
    assert reply.session is not None
    assert reply.user is not None
    return reply.user.id


def refused(error: pytest.ExceptionInfo[AuthApiError]) -> tuple[int, str | None]:
    return error.value.status, error.value.code


def test_who_signs_up_is_signed_in(anon: SyncGoTrueClient) -> None:
    """And is who the token says; the email is compared without regard to case."""
    email = somebody()
    user_id = signed_up(anon, email)
    mine = anon.get_user()
    assert mine is not None
    assert (mine.user.id, mine.user.email, mine.user.role) == (user_id, email, "authenticated")
    assert mine.user.user_metadata["name"] == "Ada"
    assert [each.provider for each in mine.user.identities or []] == ["email"]
    again = anon.sign_in_with_password({"email": email.upper(), "password": PASSWORD})
    assert again.user is not None
    assert again.user.id == user_id


def test_a_session_is_refreshed(anon: SyncGoTrueClient) -> None:
    """With another refresh token, and the person's own data."""
    user_id = signed_up(anon, somebody())
    before = anon.get_session()
    after = anon.refresh_session()
    assert before is not None
    assert after.session is not None
    assert after.session.refresh_token != before.refresh_token
    assert after.session.user.id == user_id


def test_a_user_changes_password_and_data(anon: SyncGoTrueClient) -> None:
    """Metadata is merged at its first level; afterwards the new password alone opens."""
    email = somebody()
    signed_up(anon, email)
    changed = anon.update_user({"password": OTHER_PASSWORD, "data": {"town": "London"}})
    assert changed.user.user_metadata["name"] == "Ada"
    assert changed.user.user_metadata["town"] == "London"
    with pytest.raises(AuthApiError) as error:
        anon.sign_in_with_password({"email": email, "password": PASSWORD})
    assert refused(error) == (400, "invalid_credentials")
    assert anon.sign_in_with_password({"email": email, "password": OTHER_PASSWORD}).session is not None


@pytest.mark.parametrize(
    ("scope", "live"), [("local", [False, True]), ("others", [True, False]), ("global", [False, False])]
)
def test_signing_out_ends_the_sessions_of_its_scope(clients: Clients, scope: SignOutScope, live: list[bool]) -> None:
    """This one, the other ones, or all; a session that lives can be refreshed."""
    email = somebody()
    signed_up(clients.anon(), email)
    sessions = [clients.anon() for _ in range(2)]
    tokens = []
    for each in sessions:
        reply = each.sign_in_with_password({"email": email, "password": PASSWORD})
        assert reply.session is not None
        tokens.append(reply.session.refresh_token)
    sessions[0].sign_out({"scope": scope})
    assert [_lives(clients.anon(), token) for token in tokens] == live


def test_a_new_email_of_ones_own_needs_a_mail(anon: SyncGoTrueClient) -> None:
    """Which nobody sends yet, so it is refused as where emails are switched off, and nothing changes."""
    email = somebody()
    signed_up(anon, email)
    with pytest.raises(AuthApiError) as error:
        anon.update_user({"email": somebody("countess")})
    assert refused(error) == (422, "email_provider_disabled")
    mine = anon.get_user()
    assert mine is not None
    assert mine.user.email == email


def _lives(anon: SyncGoTrueClient, refresh_token: str) -> bool:
    try:
        return anon.refresh_session(refresh_token).session is not None
    except AuthApiError as error:
        if str(error.code) != "refresh_token_not_found":
            raise
        return False


def test_an_administrator_has_users_whole_life(service: SyncGoTrueClient) -> None:
    """Created with an id of the caller's choice, found, listed, changed, deleted."""
    user_id, email = str(uuid4()), somebody()
    made = service.admin.create_user(
        {"id": user_id, "email": email, "password": PASSWORD, "email_confirm": True, "app_metadata": {"plan": "pro"}}
    )
    assert (made.user.id, made.user.email, made.user.app_metadata["plan"]) == (user_id, email, "pro")
    assert service.admin.get_user_by_id(user_id).user.email == email
    assert user_id in {each.id for each in service.admin.list_users(page=1, per_page=1000)}
    moved = somebody("countess")
    changed = service.admin.update_user_by_id(
        user_id, {"email": moved, "password": OTHER_PASSWORD, "user_metadata": {"name": "Ada"}}
    )
    assert (changed.user.email, changed.user.user_metadata["name"]) == (moved, "Ada")
    assert service.sign_in_with_password({"email": moved, "password": OTHER_PASSWORD}).user is not None
    service.admin.delete_user(user_id)
    with pytest.raises(AuthApiError) as error:
        service.admin.get_user_by_id(user_id)
    assert refused(error) == (404, "user_not_found")


def test_errors_arrive_as_the_clients_own(anon: SyncGoTrueClient, service: SyncGoTrueClient) -> None:
    """By the code that each has."""
    email = somebody()
    signed_up(anon, email)
    with pytest.raises(AuthApiError) as error:
        anon.sign_up({"email": email, "password": PASSWORD})
    assert refused(error) == (422, "user_already_exists")
    with pytest.raises(AuthApiError) as error:
        service.admin.create_user({"email": email, "password": PASSWORD})
    assert refused(error) == (422, "email_exists")
    with pytest.raises(AuthApiError) as error:
        anon.admin.list_users()
    assert refused(error) == (403, "not_admin")


def test_a_weak_password_is_an_error_of_its_own(anon: SyncGoTrueClient) -> None:
    """With what is wrong with it."""
    with pytest.raises(AuthWeakPasswordError) as error:
        anon.sign_up({"email": somebody(), "password": "short"})
    assert error.value.status == 422
    assert error.value.reasons == ["length"]


def _at_once(crowd: Sequence[SyncGoTrueClient], email: str, *, admin: bool) -> list[tuple[int, str | None] | str]:
    """Let a crowd create one person at the same moment; return what each of them gets: an id, or a refusal."""
    ready = Barrier(len(crowd))

    def attempt(each: SyncGoTrueClient) -> tuple[int, str | None] | str:
        ready.wait()
        try:
            if admin:
                return each.admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True}).user.id
            reply = each.sign_up({"email": email, "password": PASSWORD})
        except AuthApiError as error:
            return error.status, error.code
        assert reply.session is not None
        assert reply.user is not None
        return reply.user.id

    with ThreadPoolExecutor(len(crowd)) as pool:
        return list(pool.map(attempt, crowd))


@pytest.mark.parametrize("admin", [True, False], ids=["create_user", "sign_up"])
def test_of_ten_at_once_one_creates_the_person(clients: Clients, service: SyncGoTrueClient, admin: bool) -> None:  # noqa: FBT001
    """And nine are told so by 422, not by 500 as at the real server; there is one user, and its password opens."""
    email = somebody("crowd")
    crowd = [clients.service() if admin else clients.anon() for _ in range(CROWD)]
    outcomes = _at_once(crowd, email, admin=admin)
    ids = [each for each in outcomes if isinstance(each, str)]
    assert len(ids) == 1
    lost = (422, "email_exists" if admin else "user_already_exists")
    assert [each for each in outcomes if not isinstance(each, str)] == [lost] * (CROWD - 1)
    assert [each.id for each in service.admin.list_users(1, 1000) if each.email == email] == ids
    assert service.sign_in_with_password({"email": email, "password": PASSWORD}).user is not None
