"""The ports: what the engine asks of a store, an identity provider, a clock and so on.

This file tells the whole design.

The engine never imports an implementation. Whoever writes one runs the contract suites of ``semel.testing`` against it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec
from typing_extensions import override

from semel.model import Account, Identity, Key, Record, Secret

__all__ = [
    "Absent",
    "Also",
    "ApplicationCallback",
    "Clock",
    "Delete",
    "Done",
    "EmbeddedProvider",
    "Events",
    "Exists",
    "Found",
    "FoundPage",
    "Hasher",
    "Ids",
    "Insert",
    "NewIdentity",
    "Page",
    "Ref",
    "Rejected",
    "RemoteProvider",
    "Replace",
    "Row",
    "Search",
    "Sessions",
    "SignedIn",
    "Store",
    "Tidies",
    "Tokens",
    "Unknown",
    "Verified",
    "Write",
    "in_order",
]

R = TypeVar("R", bound=Record)

# ── The store ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Insert(msgspec.Struct, frozen=True):
    """Write a record whose key does not exist; refused if it does."""

    record: Record


class Replace(msgspec.Struct, frozen=True):
    """Write over a record whose stored version is ``record.version``, the one that was read; refused otherwise."""

    record: Record


class Delete(msgspec.Struct, frozen=True):
    """Delete a record whose stored version is ``record.version``; refused otherwise."""

    record: Record


Write = Insert | Replace | Delete


class Ref(NamedTuple):
    """A record by type and key."""

    type: type[Record]
    key: Key


class Page(msgspec.Struct, frozen=True):
    """Some records in the store's own stable order; ``cursor`` leads to the next page, ``None`` after the last."""

    records: tuple[Record, ...]
    cursor: str | None


def in_order(writes: Sequence[Write]) -> list[int]:
    """Return the positions of the writes in the one order of every store and release: by type's name, then key.

    Unordered, every shape of SQL deadlocks. Raises ``ValueError`` where a key stands twice: an error in the program.
    """
    keys = [(write.record.TYPE, write.record.key) for write in writes]
    if len(set(keys)) != len(keys):
        message = "a commit names a key twice"
        raise ValueError(message)
    return sorted(range(len(keys)), key=keys.__getitem__)


@runtime_checkable
class Store(Protocol):
    """A record store with conditional writes. It knows records, keys and versions, and no rule of registrations.

    Every method raises ``StoreUnavailable`` where the store cannot be reached and nothing was changed.
    """

    async def get(self, kind: type[R], key: Key) -> R | None:
        """Return the record, or ``None``.

        Linearizable: never a value of a commit that is later refused, never a stale one.
        """
        ...

    async def get_many(self, refs: Sequence[Ref]) -> list[Record | None]:
        """Return several records in one round trip, in the order asked. Each as by ``get``; together no snapshot."""
        ...

    async def commit(self, writes: Sequence[Write], token: int) -> None:
        """Do all of the writes or none. The written records' version is ``token``, which is never used for two commits.

        The writes may come in any order and are applied in that of ``in_order``. Raises ``WriteRefused`` naming at
        least one refused write by its position as given, ``ApplicationRefused`` where the application's own row or
        callback refuses, ``StoreRejected`` where the store refuses for another reason that stays, ``CommitUnknown``
        where the answer was lost: the commit happened, or did not, or happens later. A deadlock or a failed
        serialization is tried again inside.
        """
        ...

    async def due(self, kind: type[R], before: datetime, limit: int) -> list[R]:
        """Return up to ``limit`` records with ``due_at <= before``: a hint, late and repeated at times; ask ``get``."""
        ...

    async def page(self, kind: type[R], cursor: str | None, limit: int) -> Page:
        """Return the next records in a stable order; one that is there throughout is met exactly once."""
        ...

    async def ping(self) -> datetime:
        """Return the store's own time."""
        ...

    async def close(self) -> None:
        """Give up connections and threads; the store is not used afterwards. May be called twice."""
        ...


@runtime_checkable
class Search(Protocol):
    """The capability of a store to find accounts by a part of what people call them."""

    async def search(self, words: str, cursor: str | None, limit: int) -> Page:
        """Return the next accounts whose email, username or full name contains the words, in the order of ``page``.

        ASCII letters are the same in either case; nothing in the words is a sign of its own.
        """
        ...


@runtime_checkable
class Tidies(Protocol):
    """The capability of a store whose commits can leave something behind when their process dies."""

    async def tidy(self) -> int:
        """Clear away what dead commits left; return how many there were. Upkeep calls it at every pass.

        Nothing hangs on it but space and time: what is left harms no reading and no commit. Raises as a commit does.
        """
        ...


# ── Identity providers ───────────────────────────────────────────────────────────────────────────────────────────────


class Done(msgspec.Struct, frozen=True):
    """It happened. ``provider_id`` is the provider's own id where that is not ours."""

    provider_id: str | None = None


class Exists(msgspec.Struct, frozen=True):
    """Refused, because something with this id, name or email is there. Whose it is must be looked up."""


class Rejected(msgspec.Struct, frozen=True):
    """Refused for good: ``field`` as the caller knows it (``password``, ``email``), a ``message`` without its value."""

    message: str
    field: str | None = None


class Unknown(msgspec.Struct, frozen=True):
    """No answer, or one that says nothing: it happened, or not, or will; ``retry_after`` in seconds, if said."""

    why: str
    retry_after: float | None = None


class Absent(msgspec.Struct, frozen=True):
    """There is none, now. After an unknown create this is not final."""


class Found(msgspec.Struct, frozen=True):
    """An identity at the provider.

    ``identity_id`` is the id that we chose: the provider's id where it lets us choose, else a name or marker that only
    we can have written; the provider's own id where neither is there.
    """

    provider_id: str
    identity_id: str
    email: str | None
    confirmed: bool = False
    """Whether the email counts as confirmed."""
    disabled: bool = False
    """Whether it is kept from signing in."""
    created_at: datetime | None = None
    """When it was made, by the provider's clock; ``None`` where the provider does not say."""


class FoundPage(msgspec.Struct, frozen=True):
    """Some identities in the provider's own order; ``cursor`` leads to the next page, ``None`` after the last."""

    identities: tuple[Found, ...]
    cursor: str | None


class Verified(Enum):
    """What comes of offering a password."""

    RIGHT = "right"
    WRONG = "wrong"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class NewIdentity(msgspec.Struct, frozen=True):
    """An identity to be made: everything in one request, since a second step can be lost."""

    id: str
    email: str | None
    password: Secret | None
    confirmed: bool
    full_name: str | None = None
    username: str | None = None
    """Canonical; for a provider where people sign in by usernames of their own."""


class Tokens(msgspec.Struct, frozen=True):
    """What a sign-in hands out. ``expires_in`` is in seconds and speaks of the access token."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105 - the scheme's name of RFC 6750, no secret

    @override
    def __repr__(self) -> str:
        """Show that there are tokens, and nothing of them."""
        return f"Tokens(…, expires_in={self.expires_in})"


class SignedIn(msgspec.Struct, frozen=True):
    """A right password at a remote provider: whose identity, and the provider's own tokens."""

    identity: Found
    tokens: Tokens


@runtime_checkable
class RemoteProvider(Protocol):
    """Where identities live, if not in the store.

    Each answer comes within ``timeout`` seconds and is a value, never a raise.
    """

    timeout: float

    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        """Make the identity. Whole or not at all, and at most one for one id, however often it is asked."""
        ...

    async def find(self, identity_id: str) -> Found | Absent | Unknown:
        """Return the identity that carries our id."""
        ...

    async def find_by_email(self, email: str) -> Found | Absent | Unknown:
        """Return the identity with exactly this canonical email."""
        ...

    async def update(
        self,
        identity_id: str,
        *,
        email: str | None = None,
        password: Secret | None = None,
        confirmed: bool | None = None,
        disabled: bool | None = None,
    ) -> Done | Absent | Exists | Rejected | Unknown:
        """Change what is named of the identity that carries our id, in one request: all of it or nothing.

        ``None`` leaves as it is. ``email`` is canonical, and ``Exists`` if another identity has it. A new email leaves
        ``confirmed`` as it is, unless that is named. A new ``password`` ends the sessions of before. ``disabled`` keeps
        it from signing in and from refreshing, until it is taken back. ``Rejected`` where the provider cannot: some
        take no confirmation back. After ``Unknown`` it may be done later, over what was done meanwhile.
        """
        ...

    async def delete(self, provider_id: str) -> Done | Unknown:
        """Delete the identity with the provider's id; one that is not there counts as done."""
        ...

    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        """Return the next identities, ours and others', at most ``limit`` (from 1 on); ``cursor`` is of the last page.

        The listing ends, and while nothing is written every identity is met. It is no snapshot: one may be met twice,
        and one may be missed where others come and go. Ask ``find`` before you take one for absent.
        """
        ...

    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:
        """Say whether the password is the identity's, and open no session that stays."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...


@runtime_checkable
class Sessions(Protocol):
    """The capability of a remote provider to sign people in: the sessions are its own."""

    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        """Sign in; ``Absent`` for an unknown email and a wrong password alike."""
        ...

    async def refresh(self, refresh_token: Secret) -> SignedIn | Absent | Unknown:
        """Exchange the refresh token; ``Absent`` where it is not, or no longer, good."""
        ...

    async def whose(self, access_token: Secret) -> Found | Absent | Unknown:
        """Return the identity that an access token speaks for.

        ``Absent``: the token is none, has expired, or its session has ended; or its identity is kept from signing in.
        """
        ...

    async def sign_out(self, access_token: Secret) -> Done | Absent | Unknown:
        """End the session; one that has ended counts as done.

        ``Absent``: the token is none, or has expired, so it ends nothing.
        """
        ...


@runtime_checkable
class EmbeddedProvider(Protocol):
    """Identities in the same store: identity and credential are one record of the engine's own commit."""

    slow: bool
    """Whether making a credential costs so much that a look at the store beforehand is worth a round trip."""

    async def enrol(self, identity: Identity, password: Secret) -> Identity:
        """Return the record with a credential made of the password. Raises ``Overloaded`` where the queue is full."""
        ...

    async def verify(self, identity: Identity | None, password: Secret) -> bool:
        """Say whether the password is the identity's. ``None`` (unknown email) costs the same time and is ``False``."""
        ...

    def outdated(self, identity: Identity) -> bool:
        """Tell whether the credential was made under another profile and should be made anew at sign-in."""
        ...


# ── What the engine asks of the process ──────────────────────────────────────────────────────────────────────────────


@runtime_checkable
class Clock(Protocol):
    """Time, as this process sees it; the store's own is ``Store.ping``."""

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@runtime_checkable
class Ids(Protocol):
    """Everything random."""

    def uuid(self) -> str:
        """Return a new UUID7 (RFC 9562)."""
        ...

    def token(self) -> int:
        """Return a commit token: 64 random bits as a signed integer, never 0."""
        ...

    def secret(self) -> str:
        """Return 256 random bits, URL-safe."""
        ...

    def jitter(self) -> float:
        """Return a number from 0 to 1, evenly spread."""
        ...


@runtime_checkable
class Hasher(Protocol):
    """Password hashes."""

    slow: bool

    async def hash(self, password: Secret) -> str:
        """Return a new salted hash. Raises ``Overloaded`` where the queue is full."""
        ...

    async def verify(self, digest: str, password: Secret) -> bool:
        """Compare in constant time. Raises ``Overloaded`` where the queue is full."""
        ...

    def outdated(self, digest: str) -> bool:
        """Tell whether the hash was made with other parameters than now configured."""
        ...


@runtime_checkable
class Events(Protocol):
    """What happened, for logs and metrics. Never a secret, never what a person typed."""

    def emit(self, name: str, fields: Mapping[str, str | int | float | Sequence[str]]) -> None:
        """Take note of an event such as ``registration.conflict``. Never raises."""
        ...


# ── The application's own row ────────────────────────────────────────────────────────────────────────────────────────


class Row(msgspec.Struct, frozen=True):
    """A row of the application, written by the very statement that inserts the account.

    ``columns`` says for each column of ``table`` which field of ``Account`` fills it.
    """

    table: str
    columns: Mapping[str, str]


ApplicationCallback = Callable[[Any, Account], Awaitable[None] | None]
"""Called with the driver's open connection and the account, inside the transaction that inserts it, perhaps more than
once.

Whatever it raises fails the registration as ``ApplicationRefused``; one that takes too long is given up as
``StoreUnavailable``, where the store can; a lost connection in it is ``CommitUnknown``.
"""

Also = Row | ApplicationCallback
"""What a SQL store is given as ``also``: it runs whenever a commit inserts an account, by any door."""
