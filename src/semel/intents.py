"""What a caller asks for, and how it becomes an ``Ask``: canonicalised, checked, fingerprinted. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from semel import canonical, passwords
from semel.errors import FieldError, InvalidInput
from semel.model import Name, Profile, Secret
from semel.protocol.commits import Ask
from semel.protocol.engine import Engine
from semel.states import DOORS_THAT_CONVERGE, Door

__all__ = [
    "ANYBODY",
    "MOST_ROLES",
    "Intent",
    "Policy",
    "federated_intent",
    "federated_key",
    "prepare",
    "registration_id",
]

T = TypeVar("T")

KEY_LENGTH = range(16, 256)
"""How long an idempotency key may be, in characters: anonymous callers share one scope, so theirs must be unguessable.
"""


ANYBODY = "anonymous"
"""The scope of the keys of callers whom nothing tells apart."""

MOST_ROLES = 64
"""How many roles an account has at most."""

_FEDERATED = "federated"
"""The scope of keys made by ``federated_key``: no anonymous caller, who can make the same key, ever meets it."""

_SAID_EACH_TIME = ("email", "full_name", "attributes")
"""What an issuer says of its subject anew at each sign-in."""

_ID = re.compile(r"(?!0{8}-0{4}-0{4}-0{4}-0{12})[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Any UUID but nil, in the form that is compared."""

_TRUSTED = frozenset({Door.ADMIN, Door.INVITATION, Door.FEDERATED, Door.SIGN_IN})
"""Doors whose caller may give any role; at every other the rules of a sign-up hold."""
_WITHOUT_PASSWORD = _TRUSTED - {Door.INVITATION}
"""Doors that make accounts without a password."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One intent to create an account, as the caller gave it."""

    door: Door = Door.SIGNUP
    email: str | None = None
    password: Secret | None = None
    username: str | None = None
    phone: str | None = None
    federated: tuple[str, str] | None = None
    """Issuer and subject of a verified token."""
    full_name: str | None = None
    role: str | None = None
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}
    idempotency_key: str | None = None
    scope: str = ANYBODY
    """Who calls; keys of different scopes never meet."""
    proved: bool = False
    """Whether the caller has verified that the deciding identifier is the person's own."""
    account_id: str | None = None
    """The id that the account is to have, a UUID in lower case with hyphens; drawn where none is given. With the
    embedded provider only, as are the next three."""
    credential: Secret | None = None
    """A password hash of the embedded provider's own kind, in place of a password."""
    details: str | None = None
    """What the identity's record is to say beyond the account: see ``semel.details``."""
    ban_seconds: float | None = None
    """For how long from now on nobody is let in."""
    inactive: bool = False
    """Whether the account is switched off from its beginning."""
    strict: bool = False
    """Whether the same request again, without a key, is another intent and no double click."""
    sets_password: bool = False
    """Whether a mail leads the person to set the first password; for who is given none."""
    vetted: bool = False
    """Whether the caller has held the password against rules of its own, in place of ours."""
    invitation: str | None = None
    """The id of the invitation that is accepted. Its email and role are the intent's; the caller has verified its
    token."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may be made of."""

    roles: frozenset[str] = frozenset({"Creator", "Member"})
    """The roles that a sign-up may ask for: never an administrator's."""
    default_role: str = "Member"
    attributes_max_bytes: int = 16_384
    allow_special_use: bool = False
    """Whether emails under special-use domains (RFC 6761) are taken, as in development."""


class _Faults:
    """Collects what is wrong, so that one answer names every field."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def tried(self, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except InvalidInput as error:
            self.errors.extend(error.errors)
            return None

    def add(self, field: str, code: str, message: str) -> None:
        self.errors.append(FieldError(field, code, message))


def prepare(engine: Engine, policy: Policy, intent: Intent) -> Ask:
    """Canonicalise, check and fingerprint. Raises ``InvalidInput`` that names every field at fault."""
    faults = _Faults()
    names, shown = _identifiers(intent, policy, faults)
    profile = _profile(intent, policy, shown, faults)
    _check_key(intent, faults)
    _check_password(intent, names, faults)
    _check_chosen(engine, intent, faults)
    if not names and not faults.errors:
        faults.add("email", "required", "Give an email")
    if faults.errors or profile is None:
        raise InvalidInput(errors=tuple(faults.errors))
    key = intent.idempotency_key
    return Ask(
        registration=registration_id(intent.scope, key) if key is not None else engine.ids.uuid(),
        keyed=key is not None,
        door=intent.door,
        fingerprint=engine.fingerprint(_payload(intent)),
        names=tuple(names),
        proved=intent.proved,
        profile=profile,
        account_id=intent.account_id,
        credential=intent.credential,
        details=intent.details,
        ban_seconds=intent.ban_seconds,
        strict=intent.strict,
        invitation=intent.invitation,
    )


def federated_key(issuer: str, subject: str) -> str:
    """Return the idempotency key of this subject of this issuer (``iss`` and ``sub`` of OpenID Connect Core 1.0).

    It is the same at each sign-in and in every process, so all of them meet one registration. Anybody who knows the two
    can make it: use it in a scope that none but your own code speaks in, as ``federated_intent`` does.
    """
    return hashlib.sha256(msgspec.json.encode([issuer, subject])).hexdigest()


def federated_intent(issuer: str, subject: str, *, email: str | None = None, full_name: str | None = None) -> Intent:
    """Return what a token asks for: the account of this subject of this issuer, made if there is none.

    The caller has verified the token. ``email`` and ``full_name`` are what it says of the person; they are shown, own
    nothing, and may be others at the next sign-in. Whose account was deleted meets ``RegistrationWithdrawn`` for as
    long as completed registrations are kept: a late sign-in must not bring the account back.
    """
    return Intent(
        door=Door.FEDERATED,
        email=email,
        full_name=full_name,
        federated=(issuer, subject),
        idempotency_key=federated_key(issuer, subject),
        scope=_FEDERATED,
        proved=True,
    )


def registration_id(scope: str, key: str) -> str:
    """Return the id of the registration that a caller's idempotency key names."""
    return hashlib.sha256(msgspec.json.encode([scope, key])).hexdigest()


def _payload(intent: Intent) -> bytes:
    """Return the payload as the caller gave it, without secrets and without its key: the same value, the same bytes.

    Where the owner is the answer anyhow, it is the person that counts, and not what an issuer says of it today. What is
    not said is left out: a key may be used for years, and a field of a later release must not make it another payload.
    """
    fields = msgspec.structs.asdict(intent)
    del fields["idempotency_key"], fields["vetted"], fields["sets_password"]
    # That there is one, where it may be left out: what is left out cannot be verified when the key comes again.
    fields["password"] = intent.password is not None and intent.door in _TRUSTED
    if intent.credential is not None:  # no password that could be compared when the key comes again
        fields["credential"] = intent.credential.reveal()
    if intent.door in DOORS_THAT_CONVERGE and intent.federated is not None:
        for name in _SAID_EACH_TIME:
            del fields[name]
    said = {name: value for name, value in fields.items() if value not in (None, False, (), {})}
    return msgspec.json.encode(said, order="deterministic")


def _identifiers(intent: Intent, policy: Policy, faults: _Faults) -> tuple[list[Name], dict[str, str]]:
    """Return the identifiers, the deciding one first, and what people are shown of each kind."""
    makers: list[tuple[object, Callable[[], canonical.Canonical]]] = [
        (intent.federated, lambda: canonical.federated(*(intent.federated or ("", "")))),
        (intent.email, lambda: canonical.email(intent.email or "", allow_special_use=policy.allow_special_use)),
        (intent.username, lambda: canonical.username(intent.username or "")),
        (intent.phone, lambda: canonical.phone(intent.phone or "")),
    ]
    made = [faults.tried(make) for given, make in makers if given is not None]
    found = [one for one in made if one is not None]
    shown = {one.name.kind: one.shown for one in found}
    if intent.federated is not None:  # an email that comes with a federated sign-in is unproved, and owns nothing
        found = [one for one in found if one.name.kind != "email"]
    return [one.name for one in found], shown


def _profile(intent: Intent, policy: Policy, shown: dict[str, str], faults: _Faults) -> Profile | None:
    role = intent.role if intent.role is not None else policy.default_role
    if len(intent.roles) > MOST_ROLES:
        faults.add("roles", "too_many", f"Give at most {MOST_ROLES} roles")
    if intent.door in _TRUSTED:
        for one in (role, *intent.roles):
            faults.tried(partial(canonical.text, "role", one, max_length=64))
    elif role not in policy.roles or intent.roles:
        faults.add("role", "not_allowed", f"Choose one of: {', '.join(sorted(policy.roles))}")
    full_name = intent.full_name
    if full_name is not None:
        full_name = faults.tried(lambda: canonical.text("full_name", intent.full_name or "", max_length=200))
    attributes = faults.tried(lambda: canonical.attributes(intent.attributes, max_bytes=policy.attributes_max_bytes))
    if attributes is None:
        return None
    return Profile(
        email=shown.get("email"),
        username=shown.get("username"),
        phone=shown.get("phone"),
        full_name=full_name,
        role=role,
        roles=intent.roles or (role,),
        attributes=attributes,
        inactive=intent.inactive,
        sets_password=intent.sets_password and intent.password is None and intent.credential is None,
    )


def _check_key(intent: Intent, faults: _Faults) -> None:
    key = intent.idempotency_key
    if key is not None and (len(key) not in KEY_LENGTH or not key.isascii() or not key.isprintable()):
        faults.add("idempotency_key", "invalid_key", "Give 16 to 255 printable ASCII characters that nobody can guess")


def _check_password(intent: Intent, names: list[Name], faults: _Faults) -> None:
    if intent.password is not None and intent.vetted:
        return
    if intent.password is not None:
        faults.errors.extend(passwords.check(intent.password, [name.value for name in names]))
    elif intent.door not in _WITHOUT_PASSWORD:
        faults.add("password", "required", "Give a password")


def _check_chosen(engine: Engine, intent: Intent, faults: _Faults) -> None:
    """Check what only an identity in the store itself can take: an id of the caller's, a hash, details."""
    if intent.account_id is not None and not _ID.fullmatch(intent.account_id):
        faults.add("id", "malformed", "Give a UUID other than nil, in lower case with hyphens")
    chosen = {
        "id": intent.account_id,
        "password_hash": intent.credential,
        "details": intent.details,
        "ban": intent.ban_seconds,
    }
    if engine.embedded is None:
        for field in (name for name, value in chosen.items() if value is not None):
            faults.add(field, "not_offered", "Only the embedded provider takes this")
