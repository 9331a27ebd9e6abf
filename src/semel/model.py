"""The records Semel keeps, all immutable, and the values they are made of.

A record is named by its type and its key (the fields in ``KEY``, in that order). ``version`` is the token of the commit
that wrote it, 64 random bits and never a counter, so a record that was deleted and inserted again never matches an old
version; 0 means that it was never stored. Times are aware UTC datetimes with microseconds. ``due_at`` is the moment
from which upkeep has something to do with the record, ``None`` for never.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Final, NamedTuple, Self

import msgspec
from typing_extensions import override

from semel.states import Door, EventState, IdentityState, InvitationState, LinkPurpose, RegistrationState

__all__ = [
    "RECORD_TYPES",
    "Account",
    "ApiKey",
    "Identifier",
    "Identity",
    "Invitation",
    "Invited",
    "Key",
    "KeyRecord",
    "Link",
    "Name",
    "OutboxEvent",
    "Profile",
    "Record",
    "Registration",
    "Secret",
    "SessionFamily",
]

Key = tuple[str, ...]
"""A record's key: the values of its key fields."""


class Secret:
    """A value that must not show: its text appears in no repr, format, log or pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself; call it as late as possible."""
        return self._value

    @override
    def __repr__(self) -> str:
        """Show that there is something, and nothing of it."""
        return "Secret(…)"

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse to be pickled: what is pickled is written somewhere."""
        message = "a Secret is never pickled"
        raise TypeError(message)


class Name(NamedTuple):
    """What an identifier is: its kind (``email``, ``username``, ``phone``, ``federated``) and its canonical value."""

    kind: str
    value: str


class Profile(msgspec.Struct, frozen=True):
    """What an account will say of its person, as canonicalised and checked; a registration in flight carries it."""

    email: str | None = None
    """As shown to people; its canonical form is the identifier."""
    username: str | None = None
    """As shown to people."""
    phone: str | None = None
    """In E.164."""
    full_name: str | None = None
    role: str | None = None
    roles: tuple[str, ...] = ()
    attributes: str = "{}"
    """A JSON object, as text."""
    inactive: bool = False
    """Whether the account is switched off from its beginning."""
    sets_password: bool = False
    """Whether a mail leads the person to set the first password: somebody else made the account, and gave none."""


_READ_KEY: Final[dict[type[Record], Callable[[Record], Key]]] = {}
"""How each record type's key is read, made once: a commit asks for many keys."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a store keeps: immutable, with a key, a version and perhaps a moment when upkeep should look at it."""

    TYPE: ClassVar[str]
    """The record type's name, which orders the writes of a commit."""
    KEY: ClassVar[tuple[str, ...]]
    """The fields that make the key."""

    due_at: datetime | None = None
    version: int = 0

    @override
    def __init_subclass__(cls) -> None:
        read: attrgetter[Any] = attrgetter(*cls.KEY)
        _READ_KEY[cls] = read if len(cls.KEY) > 1 else lambda record: (read(record),)

    @property
    def key(self) -> Key:
        """The values of the key fields."""
        return _READ_KEY[type(self)](self)

    @override
    def __repr__(self) -> str:
        """Show type, key and version alone: a record may hold a hash, a key, or what a person typed."""
        return f"{type(self).__name__}({'/'.join(self.key)} at {self.version})"

    def but(self, **changes: Any) -> Self:  # noqa: ANN401 - the fields differ in type
        """Return this record with some fields changed."""
        return msgspec.structs.replace(self, **changes)


class Account(Record, frozen=True, kw_only=True):
    """The application's row for a person.

    Whatever is written for an account replaces this record in the same commit.
    """

    TYPE: ClassVar[str] = "account"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    """A UUID7 chosen by the registration; the identity's id as well, wherever the provider lets us choose."""
    email: str | None = None
    """As shown to people."""
    email_canonical: str | None = None
    """Unique; what the identifier of kind ``email`` says."""
    username: str | None = None
    """As shown to people."""
    username_canonical: str | None = None
    """Unique; what the identifier of kind ``username`` says."""
    full_name: str | None = None
    role: str | None = None
    roles: tuple[str, ...] = ()
    is_active: bool = True
    banned_until: datetime | None = None
    """Until when nobody is let in as this person, by any face; ``None`` for no ban."""
    onboarding_completed: bool = False
    attributes: str = "{}"
    """A JSON object, as text; its size is limited by a setting."""
    created_at: datetime
    updated_at: datetime
    last_sign_in_at: datetime | None = None
    epoch: int = 0
    """Raised to end all sessions and outstanding tokens at once: those of an older epoch are dead."""
    identifiers: tuple[Name, ...] = ()
    """What the account owns, the deciding one first, so that its end finds all of it without an index."""
    registration: str
    """The key of the registration that made it."""
    sessions: tuple[str, ...] = ()
    """The ids of its session families."""
    email_verified_at: datetime | None = None
    """Since when the email is proved: by a link that was opened, an invitation, an authoritative issuer; ``None`` while
    nobody has proved it."""
    links: tuple[str, ...] = ()
    """The ids of its links: those to be opened, and those that were, while the second click shall have an answer."""
    pending_email: str | None = None
    """While a change of the email is under way at a remote provider: the one that it will have, as shown to people. Its
    identifier is the account's already, and the identity's wish says it."""

    def lets_in(self, now: datetime) -> bool:
        """Whether the person may sign in, refresh, and be known by a token, now."""
        return self.is_active and (self.banned_until is None or self.banned_until <= now)

    @property
    def awaits_proof(self) -> bool:
        """Whether it was made on the condition that its email be proved, by ``due_at``, and that is still to come.

        Whoever was let in since, while no proof was required, stays let in.
        """
        return self.email_verified_at is None and self.due_at is not None and self.last_sign_in_at is None

    @property
    def released(self) -> bool:
        """Whether it has ended, all but its row, which the application's own rows refer to: nothing leads to it."""
        return not self.identifiers


class Identifier(Record, frozen=True, kw_only=True):
    """A canonical value that leads to at most one account. Its key is the referee of every race."""

    TYPE: ClassVar[str] = "identifier"
    KEY: ClassVar[tuple[str, ...]] = ("kind", "value")

    kind: str
    value: str
    """Canonical."""
    account_id: str | None = None
    """The account that owns it; ``None`` while a registration holds it."""
    attempt_id: str
    """The id that the attempt of the registration chose; the owner's id once it is owned."""
    registration: str
    """The key of the registration that holds it, or made its owner."""
    proved: bool = False
    """Whether somebody proved that it is theirs (a clicked link, an authoritative issuer)."""
    canonical_version: int
    """The version of the canonicaliser that made ``value``."""

    @property
    def name(self) -> Name:
        """Kind and value."""
        return Name(self.kind, self.value)

    @property
    def owned(self) -> bool:
        """Whether an account owns it; else a registration in flight holds it."""
        return self.account_id is not None


class Identity(Record, frozen=True, kw_only=True):
    """Our one record of an identity id; its state decides the identity's fate (see ``IdentityState``)."""

    TYPE: ClassVar[str] = "identity"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    state: IdentityState
    provider_id: str | None = None
    """The provider's own id, where it differs from ours and is known."""
    registration: str | None = None
    """The key of the registration that holds it, while held.

    While condemned: ``None`` for what was ours; for what somebody else had planted, the key of the registration that
    condemned it.
    """
    credential: str | None = None
    """The password hash, with the embedded provider only."""
    details: str | None = None
    """What a face of the embedded provider keeps of an identity beyond its account, as JSON: see ``semel.details``.
    ``None`` where no such face has written it."""
    condemned_at: datetime | None = None
    """While condemned: since when."""
    look_until: datetime | None = None
    """While condemned: how long upkeep looks again; a horizon from its beginning and from every delete: until then a
    create of ours could still land, or somebody who signed in just before be given an account."""
    tries: int = 0
    """How often upkeep has looked for it; sets the back-off."""
    wanted_email: str | None = None
    """While owned: the canonical email that a remote provider must come to say; ``None`` where nothing is wished."""
    wanted_disabled: bool | None = None
    """While owned: whether a remote provider must come to keep it from signing in; ``None`` where nothing is wished."""
    wanted_confirmed: bool | None = None
    """While owned: whether a remote provider must come to say that the email is confirmed, since it was proved to us;
    ``None`` where nothing is wished."""
    wanted_until: datetime | None = None
    """While something is wished: how long upkeep repeats it, since a request of before may land late."""
    secret_until: datetime | None = None
    """While a change of the password is under way at a remote provider: until when another one is refused, since an
    unanswered one may land late, and no wish may hold a password."""


class Registration(Record, frozen=True, kw_only=True):
    """The durable record of one intent to create an account; its idempotency record too (see ``RegistrationState``)."""

    TYPE: ClassVar[str] = "registration"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    """Derived from the caller's scope and idempotency key by SHA-256; random where there was no key."""
    state: RegistrationState
    door: Door
    keyed: bool
    """Whether the caller gave an idempotency key."""
    account_id: str
    """The UUID7 that this attempt chose."""
    fingerprint: str
    """An HMAC over the payload as the caller gave it, without secrets."""
    owner: str | None = None
    """The worker that has the lease, while pending."""
    lease_until: datetime | None = None
    """While pending; ``due_at`` is this and twice the allowed skew."""
    created_at: datetime
    """When this attempt began."""
    completed_at: datetime | None = None
    identifiers: tuple[Name, ...] = ()
    """What this attempt holds, while pending; afterwards the account lists it."""
    proved: bool = False
    """Whether its deciding identifier is proved."""
    profile: Profile | None = None
    """What the account will say, while pending: at rest a registration keeps no personal value."""
    failure: str | None = None
    """The stable error code of why it failed."""
    invitation: str | None = None
    """The id of the invitation that it accepts; of that one's state it decides."""


class SessionFamily(Record, frozen=True, kw_only=True):
    """One sign-in and all refresh tokens that descend from it."""

    TYPE: ClassVar[str] = "session"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    account_id: str
    epoch: int
    """The account's epoch at sign-in; the family is dead once the account's is higher."""
    leaves: str
    """The live refresh tokens, as JSON: see ``semel.sessions``. Hashes only."""
    created_at: datetime
    expires_at: datetime


class KeyRecord(Record, frozen=True, kw_only=True):
    """A secret that Semel made for itself once: a signing key, or the key of the fingerprints."""

    TYPE: ClassVar[str] = "key"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    """Purpose and number, such as ``signing/1``: fixed, so that two servers starting at once make one."""
    algorithm: str
    secret: str
    """The key, wrapped with ``SEMEL_SECRET_KEY`` where one is given."""
    wrapped: bool
    created_at: datetime


class OutboxEvent(Record, frozen=True, kw_only=True):
    """A side effect to deliver at least once; written in the commit that it tells of."""

    TYPE: ClassVar[str] = "event"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    """Of what happens once in an account's life: the account's id, the event's kind, and what made the account when, so
    that each exists once, also where a deleted account's id was chosen for another. Of what happens once to something
    else, that one's id and the kind. Of everything else, drawn."""
    kind: str
    """Such as ``account.created``; of a mail ``mail.`` and which."""
    account_id: str
    """Whom it is about; empty where it is about nobody who has an account."""
    created_at: datetime
    subject: str | None = None
    """The id of what else it is about: a link, an invitation. Never a value of a person's."""
    state: EventState = EventState.DELIVERED
    attempts: int = 0
    """How often a delivery began, since it was made or replayed."""
    delivered: tuple[str, ...] = ()
    """The endpoints that have taken it."""
    refused: tuple[str, ...] = ()
    """The endpoints that refuse it for good."""
    failure: str | None = None
    """Why the last attempt failed, in a few words: an endpoint's name and what it answered, nothing of a person's."""

    @property
    def is_mail(self) -> bool:
        """Whether it is a mail to be sent; everything else tells the application of something."""
        return self.kind.startswith("mail.")

    @property
    def delivery_id(self) -> str:
        """What receivers know it by, the same at every attempt: letters and digits, and nothing can be read from it."""
        return f"evt_{hashlib.sha256(self.id.encode()).hexdigest()[:32]}"


class Link(Record, frozen=True, kw_only=True):
    """A single-use link in a mail, with which a person proves that an email is theirs. Opening it is one commit."""

    TYPE: ClassVar[str] = "link"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    purpose: LinkPurpose
    account_id: str
    epoch: int
    """The account's epoch when it was made; the link is dead once the account's is higher, unless it was raised to set
    a password by this very link at a remote provider."""
    token_hash: str
    """SHA-256 of the token that the mail carries; the token is made of the id, with a key, whenever it is sent."""
    email: str
    """The canonical email that it proves: the mail's recipient."""
    shown: str
    """The same as the person gave it."""
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    """When it was opened; kept for a while from then, so that the second click has a clear answer."""
    former: str | None = None
    """Of a change of the email that was made by opening it: the email before, as shown, to which a mail says so."""


class Invitation(Record, frozen=True, kw_only=True):
    """An invitation to have an account, sent to an email; its token proves that email (see ``InvitationState``)."""

    TYPE: ClassVar[str] = "invitation"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    state: InvitationState
    email: str | None = None
    """As shown to people; ``None`` once whoever accepted it has been erased."""
    email_canonical: str | None = None
    role: str | None = None
    """What the account will be given."""
    note: str | None = None
    """What the inviter says to the invited."""
    token_hash: str
    """SHA-256 of the token, which is shown once and sent; it is made of the id and the sending, with a key."""
    sending: int = 1
    """Raised by each sending again: tokens of an earlier one are dead."""
    invited_by: str
    """Who invites: an account's id, or an API key's."""
    created_at: datetime
    expires_at: datetime
    registration: str | None = None
    """The key of the registration that accepts it, or has."""
    account_id: str | None = None
    """Whose it became."""
    ended_at: datetime | None = None
    """When it was accepted, revoked, or found expired."""


class Invited(Record, frozen=True, kw_only=True):
    """That an email has an invitation which is not yet ended: its key lets there be one."""

    TYPE: ClassVar[str] = "invited"
    KEY: ClassVar[tuple[str, ...]] = ("email",)

    email: str
    """Canonical."""
    invitation: str
    """The id of the invitation."""


class ApiKey(Record, frozen=True, kw_only=True):
    """What a program shows to be let in as an administrator, within its scopes."""

    TYPE: ClassVar[str] = "api_key"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    name: str
    """What people call it."""
    token_hash: str
    """SHA-256 of the key, which is shown once: 256 random bits, so that a fast hash is as strong as a slow one."""
    scopes: tuple[str, ...]
    created_by: str
    """An account's id, or another key's; ``cli`` for the command line."""
    created_at: datetime
    expires_at: datetime | None = None
    """From when it lets nobody in; ``None`` for never."""
    revoked_at: datetime | None = None


RECORD_TYPES: tuple[type[Record], ...] = (
    Account,
    ApiKey,
    OutboxEvent,
    Identifier,
    Identity,
    Invitation,
    Invited,
    KeyRecord,
    Link,
    Registration,
    SessionFamily,
)
"""Every record type, in the order of their names: the order in which writes are applied."""
