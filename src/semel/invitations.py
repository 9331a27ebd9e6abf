"""Invitations: made, looked at, sent again, taken back, accepted by who has an account; expired by upkeep.

Accepting one without an account is a registration like any other: see ``Registrar`` and ``acceptance``. Every change
is conditional on the version read, so any number of servers may make them at once.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec

from semel import canonical
from semel.errors import (
    AlreadyInvited,
    FieldError,
    IdempotencyKeyReused,
    InvalidInput,
    InvitationUnknown,
    NotFound,
    UserAlreadyExists,
)
from semel.intents import Intent
from semel.mail_tokens import NOBODYS, hash_of, id_in, token_of
from semel.model import Account, Identifier, Identity, Invitation, Invited, Record, Secret
from semel.patience import Patience
from semel.ports import Delete, Insert, Ref, Replace, Write
from semel.protocol import commits, inviting, telling
from semel.protocol.ending import past
from semel.protocol.engine import Engine
from semel.states import Door, InvitationState
from semel.upkeep.wishes import send

__all__ = ["InvitationBook", "Invite", "MadeInvitation", "acceptance", "expire_invitation", "scope_of"]

_LONGEST: Final = 365 * 86_400
_REGISTERED: Final = FieldError("email", "already_registered", "Email is already registered")
_OF_ANOTHER: Final = FieldError("token", "another_email", "The invitation is for another email: sign in with that one")
_ROLE_LONGEST: Final = 64
_NOTE_LONGEST: Final = 1000
_ENDED: Final = frozenset({InvitationState.ACCEPTED, InvitationState.EXPIRED, InvitationState.REVOKED})


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever invites asks for."""

    email: str
    role: str | None = None
    """What the account will be given; the sign-up's default where none is said."""
    note: str | None = None
    """What the mail says besides."""
    seconds: float = 7 * 86_400.0
    """For how long it can be accepted."""
    invited_by: str
    """The id of the account or API key that invites; keys of different inviters never meet."""
    idempotency_key: str | None = None


class MadeInvitation(msgspec.Struct, frozen=True):
    """An invitation, and the token with which it is accepted: shown to whoever made it, and sent."""

    invitation: Invitation
    token: Secret


def acceptance(invitation: Invitation, intent: Intent) -> Intent:
    """Return what accepting an invitation asks for: the person's own fields, at the invited email, with its role."""
    return msgspec.structs.replace(
        intent,
        door=Door.INVITATION,
        email=invitation.email,
        role=invitation.role,
        proved=True,
        scope=_scope(invitation.id),
        invitation=invitation.id,
    )


def scope_of(token: Secret) -> str:
    """Return the scope of the idempotency keys with which an invitation's token is accepted. Anybody can make it."""
    return _scope(id_in(token))


def _scope(invitation_id: str) -> str:
    return f"invitation/{invitation_id}"


class InvitationBook:
    """All invitations of a store. ``key`` makes their tokens: at rest there are hashes alone."""

    def __init__(self, engine: Engine, key: bytes, *, allow_special_use: bool) -> None:
        self._engine = engine
        self._key = key
        self._allow_special_use = allow_special_use

    async def create(self, invite: Invite) -> MadeInvitation:
        """Invite an email. The same key again gives the same invitation, and the same token while that is good.

        Raises ``InvalidInput``, ``AlreadyInvited``, ``UserAlreadyExists`` where an account has proved the email,
        ``IdempotencyKeyReused``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        email, fresh = self._checked(invite)
        with Patience(self._engine) as patience:
            while True:
                refs = [Ref(Invitation, fresh.key), Ref(Invited, (email.name.value,)), Ref(Identifier, email.name)]
                before, invited, owner = await self._engine.store.get_many(refs)
                if isinstance(before, Invitation):
                    return self._again(before, fresh)
                if isinstance(owner, Identifier) and owner.owned and owner.proved:
                    raise UserAlreadyExists(errors=(_REGISTERED,))
                writes = await self._slot(cast("Invited | None", invited), fresh)
                if (await patience.put([Insert(fresh), *writes, *self._told(fresh)])).done:
                    self._note("invitation.created", fresh)
                    return MadeInvitation(fresh, self.token_of(fresh))
                await patience.pause()

    def _checked(self, invite: Invite) -> tuple[canonical.Canonical, Invitation]:
        """Return the email, and the invitation to be made. Raises ``InvalidInput`` that names every field at fault."""
        faults: list[FieldError] = []
        email: canonical.Canonical | None = None
        try:
            email = canonical.email(invite.email, allow_special_use=self._allow_special_use)
        except InvalidInput as error:
            faults.extend(error.errors)
        texts = (("role", invite.role, _ROLE_LONGEST), ("note", invite.note or None, _NOTE_LONGEST))
        for field, value, longest in texts:
            try:
                canonical.text(field, "x" if value is None else value, max_length=longest)
            except InvalidInput as error:
                faults.extend(error.errors)
        if not 0 < invite.seconds <= _LONGEST:
            faults.append(FieldError("expires_in", "out_of_range", f"Give 1 to {_LONGEST} seconds"))
        if faults or email is None:
            raise InvalidInput(errors=tuple(faults))
        return email, self._new(invite, email)

    def _new(self, invite: Invite, email: canonical.Canonical) -> Invitation:
        now = self._engine.clock.now()
        over = now + timedelta(seconds=invite.seconds)
        key = invite.idempotency_key
        fresh = Invitation(
            id=self._engine.ids.uuid() if key is None else _derived(invite.invited_by, key),
            state=InvitationState.PENDING,
            email=email.shown,
            email_canonical=email.name.value,
            role=invite.role,
            note=invite.note,
            token_hash="",
            invited_by=invite.invited_by,
            created_at=now,
            expires_at=over,
            due_at=over,
        )
        return fresh.but(token_hash=hash_of(self.token_of(fresh)))

    def _again(self, before: Invitation, fresh: Invitation) -> MadeInvitation:
        """Answer the same key again, for the same invitation."""
        same = (before.email_canonical, before.role, before.note) == (fresh.email_canonical, fresh.role, fresh.note)
        sent_again = before.sending > 1  # which began its time anew
        if not same or not (sent_again or _lasts(before) == _lasts(fresh)):
            raise IdempotencyKeyReused
        return MadeInvitation(before, self.token_of(before))

    async def _slot(self, invited: Invited | None, fresh: Invitation) -> list[Write]:
        """Return the writes that give the email to the fresh one. Raises ``AlreadyInvited``."""
        mine = Invited(email=fresh.email_canonical or "", invitation=fresh.id, due_at=None)
        if invited is None:
            return [Insert(mine)]
        last = await self._engine.store.get(Invitation, (invited.invitation,))
        now = self._engine.clock.now()
        writes: list[Write] = [Replace(mine.but(version=invited.version))]
        if last is None or last.state in _ENDED:
            return writes
        if last.state is InvitationState.PENDING and last.expires_at <= now:
            return [*writes, Replace(inviting.expired(last, now, self._engine.options))]
        raise AlreadyInvited

    def _told(self, invitation: Invitation) -> list[Write]:
        now, options = self._engine.clock.now(), self._engine.options
        created = telling.happened("invitation.created", "", now, options, invitation.id)
        return [created, telling.invitation_mail(invitation, now, options)]

    async def open(self, token: Secret) -> Invitation:
        """Return the invitation of a token, whatever its state. Raises ``InvitationUnknown`` or a ``StoreError``."""
        found = await self._engine.store.get(Invitation, (id_in(token),))
        stands = found.token_hash if found is not None else NOBODYS
        if not hmac.compare_digest(stands, hash_of(token)) or found is None:
            raise InvitationUnknown
        return found

    async def accept(self, token: Secret, account: Account) -> Account:
        """Accept for who has an account with the invited email and is signed in: the role is granted, once.

        Raises ``InvitationUnknown``, ``InvitationUsed``, ``InvitationExpired``, ``InvitationRevoked``, ``InvalidInput``
        where the invitation is for another email, ``RegistrationInFlight``, ``OutcomeUnknown`` or a ``StoreError``.
        """
        deadline = self._engine.later(self._engine.options.wait)
        with Patience(self._engine) as patience:
            while True:
                invitation = await self.open(token)
                owner = await self._engine.store.get(Account, account.key)
                if owner is None:
                    raise NotFound
                if owner.email_canonical is None or owner.email_canonical != invitation.email_canonical:
                    raise InvalidInput(errors=(_OF_ANOTHER,))
                if invitation.state is InvitationState.ACCEPTED and invitation.account_id == owner.id:
                    return owner
                if await self._settled(invitation, deadline):
                    accepted = await self._granted(invitation, owner, patience)
                    if accepted is not None:
                        return accepted
                await patience.pause()

    async def _settled(self, invitation: Invitation, deadline: datetime) -> bool:
        """Whether it can be changed now; one that a registration accepts is waited for. Raises why it never can."""
        if invitation.state is InvitationState.PROCESSING:
            await past(self._engine, invitation.registration or "", deadline)
            return False
        if not inviting.can_be_accepted(invitation, self._engine.clock.now()):
            raise inviting.refusal(invitation)
        return True

    async def _granted(self, invitation: Invitation, owner: Account, patience: Patience) -> Account | None:
        now, options = self._engine.clock.now(), self._engine.options
        given = (invitation.role,) if invitation.role is not None and invitation.role not in owner.roles else ()
        granted = owner.but(roles=owner.roles + given, email_verified_at=owner.email_verified_at or now, updated_at=now)
        granted = granted.but(due_at=None)  # its proof is no longer awaited
        accepted = inviting.accepted(invitation, owner.id, now, options)
        told = telling.happened("invitation.accepted", owner.id, now, options, invitation.id)
        proved = await self._proving(invitation, owner, now)
        updated = telling.updated(owner.id, self._engine.ids.uuid(), now, options)
        put = await patience.put([Replace(accepted), Replace(granted), told, updated, *proved])
        if not put.done:
            return None
        self._note("invitation.accepted", accepted)
        for identity in (one.record for one in proved if isinstance(one.record, Identity)):
            await send(self._engine, identity)  # whatever it answers, the durable wish asks again
        return granted.but(version=put.token)

    async def _proving(self, invitation: Invitation, owner: Account, now: datetime) -> list[Write]:
        """Return the writes that say that the token proved the email, where nobody has said so yet.

        A remote provider comes to say that the email is confirmed: it may keep the person out until then.
        """
        if owner.email_verified_at is not None:
            return []
        refs = [Ref(Identifier, ("email", invitation.email_canonical or "")), Ref(Identity, owner.key)]
        identifier, identity = await self._engine.store.get_many(refs)
        writes: list[Write] = []
        if isinstance(identifier, Identifier) and not identifier.proved:
            writes.append(Replace(identifier.but(proved=True)))
        if isinstance(identity, Identity) and self._engine.remote is not None:
            writes.append(Replace(commits.wished(identity, now, self._engine.options, confirmed=True)))
        return writes

    async def revoke(self, invitation_id: str) -> Invitation:
        """Take it back; one that is taken back already is as asked.

        Raises ``NotFound``, ``InvitationUsed``, ``InvitationExpired``, ``RegistrationInFlight``, ``OutcomeUnknown``
        or a ``StoreError``.
        """
        deadline = self._engine.later(self._engine.options.wait)
        with Patience(self._engine) as patience:
            while True:
                invitation = await self.get(invitation_id)
                if invitation.state is InvitationState.REVOKED:
                    return invitation
                if await self._settled(invitation, deadline):
                    revoked = inviting.revoked(invitation, self._engine.clock.now(), self._engine.options)
                    put = await patience.put([Replace(revoked)])
                    if put.done:
                        self._note("invitation.revoked", revoked)
                        return revoked.but(version=put.token)
                await patience.pause()

    async def resend(self, invitation_id: str) -> MadeInvitation:
        """Send it again, with a new token and for as long again; tokens of before are dead.

        Raises what ``revoke`` raises, and ``InvitationRevoked``. One whose time is over, but which nobody has marked so
        yet, has ended all the same.
        """
        deadline = self._engine.later(self._engine.options.wait)
        with Patience(self._engine) as patience:
            while True:
                invitation = await self.get(invitation_id)
                if await self._settled(invitation, deadline):
                    now = self._engine.clock.now()
                    over = now + (invitation.expires_at - invitation.created_at)
                    again = invitation.but(sending=invitation.sending + 1, expires_at=over, due_at=over)
                    again = again.but(token_hash=hash_of(self.token_of(again)))
                    mail = telling.invitation_mail(again, now, self._engine.options)
                    put = await patience.put([Replace(again), mail])
                    if put.done:
                        self._note("invitation.sent_again", again)
                        return MadeInvitation(again.but(version=put.token), self.token_of(again))
                await patience.pause()

    async def get(self, invitation_id: str) -> Invitation:
        """Return an invitation by its id. Raises ``NotFound`` or a ``StoreError``."""
        found = await self._engine.store.get(Invitation, (invitation_id,))
        if found is None:
            raise NotFound("There is no such invitation")
        return found

    async def page(self, cursor: str | None, limit: int) -> tuple[Sequence[Invitation], str | None]:
        """Return invitations in the store's own order, and where the next ones begin. Raises a ``StoreError``."""
        page = await self._engine.store.page(Invitation, cursor, limit)
        return [one for one in page.records if isinstance(one, Invitation)], page.cursor

    def token_of(self, invitation: Invitation) -> Secret:
        """Return the token of an invitation as it stands: tokens of sendings before are dead."""
        return token_of(self._key, invitation.id, f"{invitation.id}/{invitation.sending}")

    def _note(self, name: str, invitation: Invitation) -> None:
        self._engine.events.emit(name, {"invitation": invitation.id})


async def expire_invitation(engine: Engine, record: Record) -> bool:
    """End an invitation whose time is over; forget one that has ended long ago, with what says so of its email."""
    invitation = cast("Invitation", record)
    now = engine.clock.now()
    if invitation.state is InvitationState.PENDING and invitation.expires_at <= now:
        ended = (await engine.put([Replace(inviting.expired(invitation, now, engine.options))])).done
        if ended:
            engine.events.emit("invitation.expired", {"invitation": invitation.id})
        return ended
    if invitation.state not in _ENDED:
        return False
    invited = await engine.store.get(Invited, (invitation.email_canonical or "",))
    named = [invited] if invited is not None and invited.invitation == invitation.id else []
    return (await engine.put([Delete(one) for one in (invitation, *named)])).done


def _derived(scope: str, key: str) -> str:
    """Return the id of the invitation that an inviter's idempotency key names."""
    made = hashlib.sha256(msgspec.json.encode(["invitation", scope, key])).digest()
    return str(uuid.UUID(bytes=made[:16], version=5))


def _lasts(invitation: Invitation) -> timedelta:
    return invitation.expires_at - invitation.created_at
