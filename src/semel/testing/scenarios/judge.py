"""The judge of the engine's scenarios: feeds what the explorer sees to ``semel.testing.invariants``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from semel.model import Account, Identity, OutboxEvent, Registration, Secret
from semel.ports import Found, Verified
from semel.states import RegistrationState
from semel.stores.memory import Table
from semel.testing.explorer.runs import How, Outcome
from semel.testing.explorer.scenarios import Ending, Judge
from semel.testing.explorer.worlds import Change
from semel.testing.fake_provider import FakeProvider, State, Variant
from semel.testing.hashers import CheapHasher
from semel.testing.invariants import Snapshot, Told, at_rest, on_commit, on_delete
from semel.testing.scenarios.parties import IN_TIME, Answer, finished

__all__ = ["EngineJudge", "ProofJudge"]

_OF_A_KEY: Final = {
    RegistrationState.COMPLETED: "idempotency_key_reused",
    RegistrationState.WITHDRAWN: "registration_withdrawn",
}
_PASSES: Final = 2
"""A dead registration ends within a lease and so many passes of upkeep (invariant P)."""


class EngineJudge(Judge):
    """Judges commits, deletions, what callers are told, and what is left at rest."""

    def __init__(  # noqa: PLR0913 - what is so in a world, and by default is not
        self,
        variant: Variant | None = Variant.OWN,
        foreign: frozenset[str] = frozenset(),
        secrets: tuple[str, ...] = (),
        *,
        lively: bool = False,
        refuses: frozenset[str] = frozenset(),
        astray: frozenset[str] = frozenset(),
        may_go: frozenset[str] = frozenset(),
        mortal: bool = True,
    ) -> None:
        self._provider = FakeProvider(variant) if variant else None
        self._foreign = foreign
        self._secrets = secrets
        self._lively = lively
        """Whether undisturbed somebody must get in, and be told of every account."""
        self._refuses = refuses
        """The codes with which this world may refuse whoever comes afterwards."""
        self._astray = astray
        self._may_go = may_go
        self._mortal = mortal
        """Whether somebody deletes accounts here."""
        """Of what is somebody's, that which may be removed, unless it was changed before anybody condemned it."""

    @override
    def changed(self, change: Change) -> Sequence[str]:
        if change.call.name == "store":
            return on_commit(change.before["store"], change.after["store"], change.now)
        if change.call.verb != "delete":
            return ()
        there = {one.provider_id for one in self._found(change.after["provider"])}
        gone = [one for one in self._found(change.before["provider"]) if one.provider_id not in there]
        return [said for one in gone for said in on_delete(one, change.after["store"], self._foreign)]

    @override
    def told(self, outcome: Outcome, states: Mapping[str, Any]) -> Sequence[str]:
        answer = outcome.value
        if outcome.how is not How.RETURNED or not isinstance(answer, Answer) or answer.account_id is None:
            return ()
        table: Table = states["store"]
        deleted = (
            one.kind == "account.deleted" and one.account_id == answer.account_id
            for one in table.values()
            if isinstance(one, OutboxEvent)
        )
        if (Account.TYPE, (answer.account_id,)) in table or any(deleted):
            return ()
        return ["A: a success was told before there is an account"]

    @override
    def passed(self, passes: int, states: Mapping[str, Any]) -> Sequence[str]:
        if passes != _PASSES:
            return ()
        pending = [one for one in states["store"].values() if getattr(one, "state", None) == "pending"]
        return [f"P: a registration is pending after {_PASSES} passes of upkeep" for _ in pending]

    @override
    def ended(self, ending: Ending) -> list[str]:
        told = [self._told(who, outcome, ending) for who, outcome in ending.outcomes.items()]
        snapshot = Snapshot(
            records=tuple(ending.states["store"].values()),
            identities=self._found(ending.states["provider"]) if self._provider else None,
            foreign=self._staying(ending),
            astray=self._astray,
            secrets=self._secrets,
            mortal=self._mortal,
            mails=False,
        )
        return [*at_rest(snapshot, told), *self._liveness(snapshot, told, ending), *self._again(snapshot, ending)]

    def _staying(self, ending: Ending) -> frozenset[str]:
        """Return what of somebody's must be there, or is."""
        answers = [outcome.value for outcome in ending.outcomes.values()]
        in_time = any(isinstance(answer, Answer) and answer.did == IN_TIME for answer in answers)
        if in_time or not self._may_go:
            return self._foreign
        there = {one.provider_id for one in self._found(ending.states["provider"])}
        return self._foreign - (self._may_go - there)

    def _told(self, who: str, outcome: Outcome, ending: Ending) -> Told:
        answer = outcome.value if isinstance(outcome.value, Answer) else Answer()
        return Told(
            who=who,
            registration=answer.registration,
            account_id=answer.account_id,
            code=answer.code,
            asked=answer.asked,
            converges=answer.converges,
            opens=self._opens(answer, ending),
            drew=answer.drew,
            proved=answer.proved,
            link=answer.link,
        )

    def _opens(self, answer: Answer, ending: Ending) -> bool | None:
        if answer.account_id is None or answer.password is None:
            return None
        return self._knows(answer.account_id, answer.password, ending)

    def _knows(self, account_id: str, password: Secret, ending: Ending) -> bool:
        """Whether the password is the account's."""
        if self._provider is not None:
            self._provider.state = ending.states["provider"]
            return finished(self._provider.verify_password(account_id, None, password)) is Verified.RIGHT
        identity = ending.states["store"].get((Identity.TYPE, (account_id,)))
        return identity is not None and identity.credential == finished(CheapHasher().hash(password))

    def _found(self, state: State) -> tuple[Found, ...]:
        if self._provider is None:
            return ()
        self._provider.state = state
        return self._provider.everybody()

    def _liveness(self, snapshot: Snapshot, told: Sequence[Told], ending: Ending) -> list[str]:
        if ending.disturbed or not self._lively:
            return []
        if any(one.account_id for one in told):
            return []
        return ["L: an account, and nobody was told"] if snapshot.all(Account) else ["L: nobody got in"]

    def _again(self, snapshot: Snapshot, ending: Ending) -> list[str]:
        """Judge that the person can try again: whoever comes when all is at rest gets in, or is told what is so."""
        if ending.afterwards is None:
            return []
        answer = ending.afterwards.value
        if not isinstance(answer, Answer):
            return [f"R: who comes afterwards is told nothing: {answer!r}"]
        if answer.account_id is not None or answer.code in self._refuses | _true_of(snapshot, answer):
            return []
        return [f"R: who comes afterwards is refused: {answer.code}"]


class ProofJudge(EngineJudge):
    """Judges as well that a stranger's password lets nobody in, and opens nothing, once an email is proved."""

    def __init__(self, judge: Mapping[str, Any], strangers: Secret | None) -> None:
        super().__init__(**judge)
        self._strangers = strangers
        """The password of a stranger, who signed up with an email and never proved it."""

    @override
    def told(self, outcome: Outcome, states: Mapping[str, Any]) -> Sequence[str]:
        answer = outcome.value
        entered = isinstance(answer, Answer) and answer.account_id is not None and answer.password is self._strangers
        let_in = ["H: a stranger's password let somebody in"] if self._strangers is not None and entered else []
        return [*super().told(outcome, states), *let_in]

    @override
    def ended(self, ending: Ending) -> list[str]:
        found = super().ended(ending)
        records = ending.states["store"].values()
        proved = [one.id for one in records if isinstance(one, Account) and one.email_verified_at is not None]
        known = [one for one in proved if self._strangers is not None and self._knows(one, self._strangers, ending)]
        found += [f"H: an email is proved, and a stranger's password opens its account: {one}" for one in known]
        if self._provider is not None:
            confirmed = {one.identity_id for one in self._found(ending.states["provider"]) if one.confirmed}
            lacking = {*proved} - confirmed
            found += [f"W: an email is proved, and the provider does not say so: {one}" for one in sorted(lacking)]
        return found


def _true_of(snapshot: Snapshot, answer: Answer) -> set[str]:
    """Return the refusals that a caller under this key, who wants what it asked for, may truly hear."""
    states = {one.id: one.state for one in snapshot.all(Registration)}
    said = {_OF_A_KEY[state] for key, state in states.items() if key == answer.registration and state in _OF_A_KEY}
    owned = {name for account in snapshot.all(Account) for name in account.identifiers}
    return said | ({"user_already_exists"} if owned & set(answer.asked) else set())
