"""What the applications that Semel was written for ask of Supabase Auth, asked of ours by the official clients.

A Next.js back office makes users for rows that it has; a TanStack application lets invited people in; a FastAPI
service makes a user, then a profile, and takes the user back where there is no profile. The code is ours, the calls
are theirs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

import pytest
from supabase_auth import SyncGoTrueClient, User
from supabase_auth.errors import AuthApiError

from tests.gotrue.clients import PASSWORD, Clients, somebody, story
from tests.gotrue.conftest import Api


class Service:
    """The FastAPI service: profiles of its own, and one client for each key, never mixed."""

    def __init__(self, clients: Clients, profiles: sqlite3.Connection) -> None:
        self.people = clients.anon()
        self._users = clients.service()
        self._profiles = profiles
        self._profiles.execute("create table profiles (id text primary key, name text not null, role text not null)")

    def sign_up(self, email: str, name: str | None, *, confirmed: bool = True) -> tuple[HTTPStatus, str]:
        """Make the user and then the profile; where that fails, delete the user again."""
        try:
            made = self._users.admin.create_user(
                {"email": email, "password": PASSWORD, "email_confirm": confirmed, "user_metadata": {"name": name}}
            )
        except AuthApiError as error:
            return HTTPStatus.CONFLICT, error.message
        try:
            self._profiles.execute("insert into profiles values (?, ?, 'Creator')", (made.user.id, name))
        except sqlite3.IntegrityError:
            self._users.admin.delete_user(made.user.id)
            return HTTPStatus.INTERNAL_SERVER_ERROR, "no profile, and no user either"
        return HTTPStatus.OK, made.user.id

    def log_in(self, email: str) -> tuple[HTTPStatus, str]:
        """Check the password with the anon key, and look the profile up by the user's id."""
        try:
            user = self.people.sign_in_with_password({"email": email, "password": PASSWORD}).user
        except AuthApiError as error:
            unproved = error.code == "email_not_confirmed"
            return HTTPStatus.FORBIDDEN if unproved else HTTPStatus.UNAUTHORIZED, error.message
        assert user is not None
        found = self._profiles.execute("select name from profiles where id = ?", (user.id,)).fetchone()
        return HTTPStatus.OK, found[0]

    def user(self, email: str) -> User | None:
        """Look through all users, as the admin API has no search by email."""
        return next((each for each in self._users.admin.list_users(1, 1000) if each.email == email), None)


@pytest.fixture
def service(clients: Clients) -> Iterator[Service]:
    with closing(sqlite3.connect(":memory:")) as profiles:
        yield Service(clients, profiles)


def test_fastapi_makes_a_user_and_a_profile(service: Service) -> None:
    """Who was made can log in; the same email once more is refused, in words that can be shown."""
    email = somebody()
    status, user_id = service.sign_up(email, "Ada")
    assert status is HTTPStatus.OK
    assert service.log_in(email) == (HTTPStatus.OK, "Ada")
    found = service.user(email)
    assert found is not None
    assert found.id == user_id
    taken = (HTTPStatus.CONFLICT, "A user with this email address has already been registered")
    assert service.sign_up(email, "Eve") == taken


def test_fastapi_takes_a_user_back_where_there_is_no_profile(service: Service) -> None:
    """Afterwards nobody has the email, and the next try has it."""
    email = somebody()
    assert service.sign_up(email, None)[0] is HTTPStatus.INTERNAL_SERVER_ERROR
    assert service.user(email) is None
    assert service.log_in(email)[0] is HTTPStatus.UNAUTHORIZED
    assert service.sign_up(email, "Ada")[0] is HTTPStatus.OK
    assert service.log_in(email) == (HTTPStatus.OK, "Ada")


def test_fastapi_tells_an_unproved_email_from_a_wrong_password(service: Service) -> None:
    """By the error's code."""
    email = somebody()
    assert service.sign_up(email, "Ada", confirmed=False)[0] is HTTPStatus.OK
    assert service.log_in(email) == (HTTPStatus.FORBIDDEN, "Email not confirmed")
    assert service.log_in(somebody()) == (HTTPStatus.UNAUTHORIZED, "Invalid login credentials")


def test_fastapis_first_version_signs_people_up_by_themselves(service: Service) -> None:
    """With the anon key, and what a form asks for in the user's metadata."""
    people: SyncGoTrueClient = service.people
    data = {"name": "Ada", "role": "Creator", "onboarding_completed": False}
    reply = people.sign_up({"email": somebody(), "password": PASSWORD, "options": {"data": data}})
    assert reply.user is not None
    assert reply.session is not None
    assert reply.user.user_metadata.items() >= data.items()


@pytest.mark.parametrize("name", ["nextjs", "tanstack"])
async def test_the_javascript_applications_find_what_they_look_for(name: str, api: Api) -> None:
    """Users for rows, double clicks, invitations that ten accept at once: see ``stories.mjs``."""
    process = await story(name, api("on"))
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
