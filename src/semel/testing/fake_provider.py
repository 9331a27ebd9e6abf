"""A remote identity provider that is none: in memory, and failing as told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any, Final

from typing_extensions import override

from semel.model import Secret
from semel.ports import (
    Absent,
    Clock,
    Done,
    Exists,
    Found,
    FoundPage,
    NewIdentity,
    Rejected,
    SignedIn,
    Unknown,
    Verified,
)
from semel.testing.clock import VirtualClock
from semel.testing.fake_realm import Changes, Kept, Realm, State, Variant
from semel.testing.faults import PROVIDER_OPERATIONS, Fault, FaultPlan, Faults

__all__ = ["TIMEOUT", "FakeProvider", "ProviderFace", "State", "Variant"]

TIMEOUT: Final = 5.0
_REJECTING: Final = frozenset({"create", "update"})


class ProviderFace(ABC):
    """``ports.RemoteProvider`` and ``ports.Sessions``, over whatever answers an operation by its name."""

    timeout: float = TIMEOUT

    @abstractmethod
    async def ask(self, operation: str, *args: Any) -> Any:  # noqa: ANN401 - each operation has its types below
        """Return the operation's answer, or ``Unknown``."""

    async def create(self, identity: NewIdentity) -> Done | Exists | Rejected | Unknown:
        """See ``RemoteProvider.create``."""
        answer: Done | Exists | Rejected | Unknown = await self.ask("create", identity)
        return answer

    async def find(self, identity_id: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find``."""
        answer: Found | Absent | Unknown = await self.ask("find", identity_id)
        return answer

    async def find_by_email(self, email: str) -> Found | Absent | Unknown:
        """See ``RemoteProvider.find_by_email``."""
        answer: Found | Absent | Unknown = await self.ask("find_by_email", email)
        return answer

    async def update(
        self,
        identity_id: str,
        *,
        email: str | None = None,
        password: Secret | None = None,
        confirmed: bool | None = None,
        disabled: bool | None = None,
    ) -> Done | Absent | Exists | Rejected | Unknown:
        """See ``RemoteProvider.update``."""
        changes = Changes(email, password, confirmed, disabled)
        answer: Done | Absent | Exists | Rejected | Unknown = await self.ask("update", identity_id, changes)
        return answer

    async def delete(self, provider_id: str) -> Done | Unknown:
        """See ``RemoteProvider.delete``."""
        answer: Done | Unknown = await self.ask("delete", provider_id)
        return answer

    async def page(self, cursor: str | None, limit: int) -> FoundPage | Unknown:
        """See ``RemoteProvider.page``."""
        answer: FoundPage | Unknown = await self.ask("page", cursor, limit)
        return answer

    async def verify_password(self, identity_id: str, email: str | None, password: Secret) -> Verified:
        """See ``RemoteProvider.verify_password``."""
        answer: Verified | Unknown = await self.ask("verify_password", identity_id, email, password)
        return Verified.UNKNOWN if isinstance(answer, Unknown) else answer

    async def sign_in(self, email: str, password: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.sign_in``."""
        answer: SignedIn | Absent | Unknown = await self.ask("sign_in", email, password)
        return answer

    async def refresh(self, refresh_token: Secret) -> SignedIn | Absent | Unknown:
        """See ``Sessions.refresh``."""
        answer: SignedIn | Absent | Unknown = await self.ask("refresh", refresh_token)
        return answer

    async def whose(self, access_token: Secret) -> Found | Absent | Unknown:
        """See ``Sessions.whose``."""
        answer: Found | Absent | Unknown = await self.ask("whose", access_token)
        return answer

    async def sign_out(self, access_token: Secret) -> Done | Absent | Unknown:
        """See ``Sessions.sign_out``."""
        answer: Done | Absent | Unknown = await self.ask("sign_out", access_token)
        return answer

    async def close(self) -> None:  # noqa: B027 - no method to fill: there is nothing to give up
        """See ``RemoteProvider.close``."""


class FakeProvider(ProviderFace):
    """A remote provider in memory, with ``faults`` between it and its caller.

    Without faults nothing suspends, so each operation is atomic in an event loop. ``state`` is the whole of it, an
    immutable value: keep it, compare it, put it back. ``calls`` counts by operation. A slow call takes half the
    ``timeout`` on the ``clock``; a refused one is ``Rejected`` where the port knows that, else ``Unknown``.
    """

    def __init__(
        self,
        variant: Variant = Variant.OWN,
        faults: Faults | None = None,
        clock: Clock | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.state = State()
        self.calls: Counter[str] = Counter()
        self.timeout = timeout
        self._realm = Realm(variant, Secret("the key of the fake provider"))
        self._faults = faults or FaultPlan(PROVIDER_OPERATIONS)
        self._clock = clock or VirtualClock()
        self._late: list[partial[object]] = []

    def plant(
        self,
        email: str,
        password: Secret | None = None,
        label: str | None = None,
        *,
        confirmed: bool = True,
        created_at: datetime | None = None,
    ) -> str:
        """Add somebody's identity, none of ours, and return the provider's id of it.

        ``label`` is the name or marker it bears: that of another identity in ``state``, to forge a marker. It is made
        now, unless ``created_at`` says otherwise.
        """
        provider_id = f"somebody-{self.state.made + 1}"
        made = created_at or self._clock.now()
        kept = Kept(provider_id, label, email, confirmed=confirmed, digest=None, created_at=made)
        self.state = self._realm.plant(self.state, kept, password)
        return provider_id

    def everybody(self) -> tuple[Found, ...]:
        """Return all identities, as the port shows them; no call is counted."""
        return self._realm.everybody(self.state)

    def land(self) -> None:
        """Let the late requests arrive, in the order in which they were sent. Nobody hears what comes of them."""
        while self._late:
            self._late.pop(0)()

    @override
    async def ask(self, operation: str, *args: Any) -> Any:
        """See ``ProviderFace.ask``."""
        self.calls[operation] += 1
        do = partial(self._do, operation, *args)
        match self._faults(operation):
            case Fault.LOSE:
                do()
                return Unknown("the answer was lost")
            case Fault.DROP:
                return Unknown("the request was lost")
            case Fault.LATE:
                self._late.append(do)
                return Unknown("the request is on its way")
            case Fault.TWICE:
                do()
            case Fault.REFUSE:
                return Rejected("refused by the provider") if operation in _REJECTING else Unknown("refused")
            case Fault.SLOW:
                await self._clock.sleep(self.timeout / 2)
            case Fault.DOWN:
                return Unknown("nobody is there", retry_after=1.0)
            case None:
                pass
        return do()

    def _do(self, operation: str, *args: object) -> object:
        if operation == "create":
            args = (*args, self._clock.now())
        self.state, answer = getattr(self._realm, operation)(self.state, *args)
        return answer
