"""What a fake identity provider keeps and does, as pure functions of a state and a request."""

from __future__ import annotations

import hmac
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b, sha256
from typing import Final

import msgspec

from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, FoundPage, NewIdentity, Rejected, SignedIn, Tokens, Verified

__all__ = ["Changes", "Kept", "Realm", "Session", "State", "Variant"]

_EXPIRES_IN: Final = 3600


class Variant(StrEnum):
    """How a provider lets us recognise what we made; each real one is one of these."""

    OWN = "own"
    """It takes our id as its own (Supabase)."""
    NAMED = "named"
    """It has ids of its own, and keeps our id as a name, unique (Keycloak, our id as username)."""
    MARKER = "marker"
    """It has ids of its own, and room for a marker, unique in nothing: ours is an HMAC over our id and the email. An
    identity whose marker is forged, or copied from one with another email, is somebody's."""


class Kept(msgspec.Struct, frozen=True):
    """An identity as the provider keeps it."""

    provider_id: str
    label: str | None
    """The name or the marker, with the variants that have one."""
    email: str | None
    confirmed: bool
    digest: bytes | None
    """A fast salted hash of the password; ``None`` where there is no password."""
    full_name: str | None = None
    disabled: bool = False
    created_at: datetime | None = None


class Changes(msgspec.Struct, frozen=True):
    """What an update names; ``None`` leaves as it is."""

    email: str | None = None
    password: Secret | None = None
    confirmed: bool | None = None
    disabled: bool | None = None


class Session(msgspec.Struct, frozen=True):
    """A sign-in that has not ended: digests of its live tokens."""

    provider_id: str
    access: bytes
    refresh: bytes


class State(msgspec.Struct, frozen=True):
    """All that the provider knows; ``made`` counts what it ever made, so that no id and no token comes twice."""

    identities: tuple[Kept, ...] = ()
    sessions: tuple[Session, ...] = ()
    made: int = 0


class Realm(msgspec.Struct, frozen=True):
    """The rules of a provider. Every operation of the port returns the state after it, and its answer."""

    variant: Variant
    key: Secret
    """Signs markers and tokens."""

    def create(self, state: State, new: NewIdentity, now: datetime) -> tuple[State, Done | Exists | Rejected]:
        """See ``RemoteProvider.create``."""
        if self.variant is Variant.MARKER and new.email is None:
            return state, Rejected("this provider takes no identity without an email", "email")
        if self._taken(state, new):
            return state, Exists()
        own = self.variant is Variant.OWN
        provider_id = new.id if own else f"provider-{state.made + 1}"
        label = self._label(new.id, new.email)
        kept = Kept(provider_id, label, new.email, new.confirmed, None, new.full_name, created_at=now)
        return self.plant(state, kept, new.password), Done(None if own else provider_id)

    def plant(self, state: State, kept: Kept, password: Secret | None) -> State:
        """Add an identity as it is, whoever made it."""
        digest = None if password is None else _password_digest(kept.provider_id, password)
        kept = msgspec.structs.replace(kept, digest=digest)
        return msgspec.structs.replace(state, identities=(*state.identities, kept), made=state.made + 1)

    def find(self, state: State, identity_id: str) -> tuple[State, Found | Absent]:
        """See ``RemoteProvider.find``."""
        kept = self._ours(state, identity_id)
        return state, self._found(kept) if kept else Absent()

    def find_by_email(self, state: State, email: str) -> tuple[State, Found | Absent]:
        """See ``RemoteProvider.find_by_email``."""
        kept = _with_email(state, email)
        return state, self._found(kept) if kept else Absent()

    def everybody(self, state: State) -> tuple[Found, ...]:
        """Return all identities, as the port shows them."""
        return tuple(self._found(kept) for kept in state.identities)

    def update(self, state: State, identity_id: str, to: Changes) -> tuple[State, Done | Absent | Exists]:
        """See ``RemoteProvider.update``. A marker is signed anew: it covers the email. A new password ends sessions."""
        kept = self._ours(state, identity_id)
        if kept is None:
            return state, Absent()
        if to.email is not None and _with_email(state, to.email) not in {None, kept}:
            return state, Exists()
        email = kept.email if to.email is None else to.email
        changed = msgspec.structs.replace(
            kept,
            email=email,
            label=kept.label and self._label(identity_id, email),
            digest=kept.digest if to.password is None else _password_digest(kept.provider_id, to.password),
            confirmed=kept.confirmed if to.confirmed is None else to.confirmed,
            disabled=kept.disabled if to.disabled is None else to.disabled,
        )
        identities = tuple(changed if one is kept else one for one in state.identities)
        over = kept.provider_id if to.password is not None else None
        sessions = tuple(one for one in state.sessions if one.provider_id != over)
        return msgspec.structs.replace(state, identities=identities, sessions=sessions), Done()

    def page(self, state: State, cursor: str | None, limit: int) -> tuple[State, FoundPage]:
        """See ``RemoteProvider.page``, in the order in which they were made."""
        first = int(cursor or 0)
        rest = self.everybody(state)[first:]
        return state, FoundPage(rest[:limit], str(first + limit) if len(rest) > limit else None)

    def delete(self, state: State, provider_id: str) -> tuple[State, Done]:
        """See ``RemoteProvider.delete``; its sessions end with it."""
        identities = tuple(kept for kept in state.identities if kept.provider_id != provider_id)
        sessions = tuple(session for session in state.sessions if session.provider_id != provider_id)
        return msgspec.structs.replace(state, identities=identities, sessions=sessions), Done()

    def verify_password(
        self, state: State, identity_id: str, email: str | None, password: Secret
    ) -> tuple[State, Verified]:
        """See ``RemoteProvider.verify_password``. The identity is looked up by our id; the email decides nothing."""
        del email
        kept = self._ours(state, identity_id)
        if kept is None:
            return state, Verified.ABSENT
        return state, Verified.RIGHT if _opens(kept, password) else Verified.WRONG

    def sign_in(self, state: State, email: str, password: Secret) -> tuple[State, SignedIn | Absent]:
        """See ``Sessions.sign_in``."""
        kept = _with_email(state, email)
        if kept is None or kept.disabled or not _opens(kept, password):
            return state, Absent()
        return self._session(state, kept)

    def refresh(self, state: State, refresh_token: Secret) -> tuple[State, SignedIn | Absent]:
        """See ``Sessions.refresh``. The old tokens are worth nothing from then on."""
        old = next((each for each in state.sessions if each.refresh == _token_digest(refresh_token)), None)
        kept = next((each for each in state.identities if old and each.provider_id == old.provider_id), None)
        if old is None or kept is None or kept.disabled:
            return state, Absent()
        return self._session(_without(state, old), kept)

    def whose(self, state: State, access_token: Secret) -> tuple[State, Found | Absent]:
        """See ``Sessions.whose``."""
        session = next((each for each in state.sessions if each.access == _token_digest(access_token)), None)
        kept = next((each for each in state.identities if session and each.provider_id == session.provider_id), None)
        return state, Absent() if kept is None or kept.disabled else self._found(kept)

    def sign_out(self, state: State, access_token: Secret) -> tuple[State, Done]:
        """See ``Sessions.sign_out``."""
        old = next((each for each in state.sessions if each.access == _token_digest(access_token)), None)
        return (_without(state, old) if old else state), Done()

    def _taken(self, state: State, new: NewIdentity) -> bool:
        same_email = new.email is not None and _with_email(state, new.email) is not None
        return same_email or (self.variant is not Variant.MARKER and self._ours(state, new.id) is not None)

    def _label(self, identity_id: str, email: str | None) -> str | None:
        if self.variant is Variant.MARKER:
            return f"{identity_id}.{self._sign(f'{identity_id} {email}')}"
        return identity_id if self.variant is Variant.NAMED else None

    def _ours(self, state: State, identity_id: str) -> Kept | None:
        return next((kept for kept in state.identities if self._identity_id(kept) == identity_id), None)

    def _identity_id(self, kept: Kept) -> str:
        """Return our id where the label proves it to be ours, else the provider's."""
        if kept.label is None or self.variant is Variant.OWN:
            return kept.provider_id
        if self.variant is Variant.NAMED:
            return kept.label
        identity_id, _, signature = kept.label.partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._sign(f"{identity_id} {kept.email}").encode())
        return identity_id if genuine else kept.provider_id

    def _found(self, kept: Kept) -> Found:
        identity_id = self._identity_id(kept)
        return Found(kept.provider_id, identity_id, kept.email, kept.confirmed, kept.disabled, kept.created_at)

    def _session(self, state: State, kept: Kept) -> tuple[State, SignedIn]:
        tokens = Tokens(self._sign(f"access {state.made}"), self._sign(f"refresh {state.made}"), _EXPIRES_IN)
        digests = _token_digest(Secret(tokens.access_token)), _token_digest(Secret(tokens.refresh_token))
        sessions = (*state.sessions, Session(kept.provider_id, *digests))
        after = msgspec.structs.replace(state, sessions=sessions, made=state.made + 1)
        return after, SignedIn(self._found(kept), tokens)

    def _sign(self, text: str) -> str:
        return hmac.digest(self.key.reveal().encode(), text.encode(), "sha256").hex()


def _with_email(state: State, email: str) -> Kept | None:
    return next((kept for kept in state.identities if kept.email == email), None)


def _without(state: State, session: Session) -> State:
    return msgspec.structs.replace(state, sessions=tuple(each for each in state.sessions if each is not session))


def _opens(kept: Kept, password: Secret) -> bool:
    digest = _password_digest(kept.provider_id, password)
    return kept.digest is not None and hmac.compare_digest(kept.digest, digest)


def _password_digest(provider_id: str, password: Secret) -> bytes:
    return blake2b(password.reveal().encode(), salt=sha256(provider_id.encode()).digest()[:16]).digest()


def _token_digest(token: Secret) -> bytes:
    return sha256(token.reveal().encode()).digest()
