"""API keys: with one a program is let in as an administrator, within the key's scopes.

A key is ``semel_<id>_<secret>``. Its secret, 256 random bits, is shown once; at rest there is a hash alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from semel import canonical
from semel.arguments import found_or_raise
from semel.errors import FieldError, InvalidInput, InvalidToken
from semel.model import Account, ApiKey, Secret
from semel.patience import Patience
from semel.ports import Insert, Ref, Replace, Write
from semel.protocol.engine import Engine

__all__ = ["ApiKeyBook", "MadeApiKey", "NewApiKey", "Scope", "is_api_key"]

_PREFIX: Final = "semel_"
_KEY: Final = re.compile(r"semel_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NAME_LONGEST: Final = 100
_LONGEST: Final = 10 * 366 * 86_400
_NOBODY: Final = hashlib.sha256(b"nobody's key").hexdigest()


class Scope(StrEnum):
    """What a key lets a program do. An administrator may do all of it."""

    USERS_READ = "users:read"
    """See accounts."""
    USERS_WRITE = "users:write"
    """Make, change and delete accounts that are no administrator's."""
    INVITATIONS_READ = "invitations:read"
    """See invitations."""
    INVITATIONS_WRITE = "invitations:write"
    """Invite, send again and take back; not with an administrator's role."""
    KEYS_WRITE = "keys:write"
    """See all keys; make and revoke those that have no scope which the key itself has not."""
    ADMINISTRATORS_WRITE = "administrators:write"
    """With one of the other scopes: the same for administrators, and giving an administrator's role."""


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever makes a key asks for."""

    name: str
    """What people will call it."""
    scopes: tuple[str, ...]
    seconds: float | None = None
    """For how long it lets anybody in; ``None`` for ever."""
    created_by: str
    """The id of the account or key that makes it; ``cli`` for the command line."""
    epoch: int | None = None
    """Of the account that makes it, when it was let in; ``None`` where no account does."""


class MadeApiKey(msgspec.Struct, frozen=True):
    """A key's record, and the key itself, which nobody is shown again."""

    key: ApiKey
    token: Secret


def is_api_key(token: Secret) -> bool:
    """Tell whether this is meant to be a key, and no access token."""
    return token.reveal().startswith(_PREFIX)


class ApiKeyBook:
    """All API keys of a store. Every change is conditional, so any number of servers may make them at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, asked: NewApiKey) -> MadeApiKey:
        """Make a key.

        Raises ``InvalidInput`` that names every field at fault, ``InvalidToken`` where the account or key that makes it
        is let in no longer, ``OutcomeUnknown`` or a ``StoreError``.

        The record of who makes it is replaced in the same commit: whoever takes back all that an account, or a key, has
        made misses none. What came of a lost answer is not told by asking again: that makes another key. Revoke the one
        nobody knows.
        """
        _check(asked)
        now = self._engine.clock.now()
        key_id = self._engine.ids.uuid()
        token = Secret(f"{_PREFIX}{key_id}_{self._engine.ids.secret()}")
        key = ApiKey(
            id=key_id,
            name=asked.name,
            token_hash=_hash(token),
            scopes=tuple(sorted(set(asked.scopes))),
            created_by=asked.created_by,
            created_at=now,
            expires_at=None if asked.seconds is None else now + timedelta(seconds=asked.seconds),
        )
        with Patience(self._engine) as patience:
            while True:
                put = await patience.put([Insert(key), *await self._by(asked)])
                made = key.but(version=put.token) if put.done else await self._made(key)
                if made is not None:
                    self._note("api_key.created", made)
                    return MadeApiKey(made, token)
                await patience.pause()

    async def _by(self, asked: NewApiKey) -> list[Write]:
        """Return the write that replaces the record of who makes the key, if that is an account or a key."""
        refs = [Ref(Account, (asked.created_by,)), Ref(ApiKey, (asked.created_by,))]
        account, key = await self._engine.store.get_many(refs)
        if isinstance(key, ApiKey) and not self._lets_in(key):
            raise InvalidToken("The API key was revoked, or has expired")
        stands = isinstance(account, Account) and account.lets_in(self._engine.clock.now())
        if asked.epoch is not None and not (stands and getattr(account, "epoch", None) == asked.epoch):
            raise InvalidToken
        return [Replace(one) for one in (account, key) if one is not None]

    async def _made(self, key: ApiKey) -> ApiKey | None:
        """Return the key where a commit of ours whose answer was lost has made it: nobody else knows the secret."""
        found = await self._engine.store.get(ApiKey, key.key)
        return found if found is not None and found.token_hash == key.token_hash else None

    async def open(self, token: Secret) -> ApiKey:
        """Return the key that a token is. An unknown one costs the same work as a known one.

        Raises ``InvalidToken`` where there is none, or it was revoked, or its time is over; or a ``StoreError``.
        """
        shaped = _KEY.fullmatch(token.reveal())
        if shaped is None:
            raise InvalidToken("This is no API key")
        found = await self._engine.store.get(ApiKey, (shaped[1],))
        right = hmac.compare_digest(found.token_hash if found is not None else _NOBODY, _hash(token))
        if found is None or not right or not self._lets_in(found):
            raise InvalidToken("The API key is unknown, was revoked, or has expired")
        return found

    def _lets_in(self, key: ApiKey) -> bool:
        return key.revoked_at is None and (key.expires_at is None or self._engine.clock.now() < key.expires_at)

    async def get(self, key_id: str) -> ApiKey:
        """Return a key's record. Raises ``NotFound`` or a ``StoreError``."""
        return found_or_raise(await self._engine.store.get(ApiKey, (key_id,)), "API key")

    async def revoke(self, key_id: str) -> ApiKey:
        """Take a key back for good; one that is taken back already is as asked.

        Raises ``NotFound``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        with Patience(self._engine) as patience:
            while True:
                found = await self.get(key_id)
                if found.revoked_at is not None:
                    return found
                revoked = found.but(revoked_at=self._engine.clock.now())
                put = await patience.put([Replace(revoked)])
                if put.done:
                    self._note("api_key.revoked", revoked)
                    return revoked.but(version=put.token)
                await patience.pause()

    async def page(self, cursor: str | None, limit: int) -> tuple[Sequence[ApiKey], str | None]:
        """Return keys in the store's own order, and where the next ones begin. Raises a ``StoreError``."""
        page = await self._engine.store.page(ApiKey, cursor, limit)
        return [one for one in page.records if isinstance(one, ApiKey)], page.cursor

    def _note(self, event: str, key: ApiKey) -> None:
        self._engine.events.emit(event, {"key": key.id})


def _check(asked: NewApiKey) -> None:
    faults: list[FieldError] = []
    try:
        canonical.text("name", asked.name, max_length=_NAME_LONGEST)
    except InvalidInput as error:
        faults.extend(error.errors)
    if not asked.scopes or not set(asked.scopes) <= set(Scope):
        faults.append(FieldError("scopes", "not_allowed", f"Choose from: {', '.join(Scope)}"))
    if asked.seconds is not None and not 0 < asked.seconds <= _LONGEST:
        faults.append(FieldError("expires_in", "out_of_range", f"Give 1 to {_LONGEST} seconds, or nothing"))
    if faults:
        raise InvalidInput(errors=tuple(faults))


def _hash(token: Secret) -> str:
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()
