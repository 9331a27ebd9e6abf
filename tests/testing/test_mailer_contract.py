"""The recording mailer keeps the contract, and the contract sees a mailer that is wrong in one respect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec
import pytest

from semel.mail import Mail
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Unknown
from semel.testing import MAILER_OPERATIONS, BrokenPromiseError, Fault, FaultPlan, RecordingMailer, VirtualClock
from semel.testing import mailer_contract as contract
from semel.testing.mailer_contract import MAILER_CONTRACT, MailerBench, MailerPromise


def letter(number: int = 1) -> Mail:
    return Mail(id=f"mail-{number}", kind="test", to="ada@example.org", subject="A subject", text="Hello\n")


def bench(mailer: RecordingMailer) -> MailerBench:
    async def arrived() -> list[bytes]:
        return mailer.letters

    return MailerBench(mailer, arrived)


@pytest.mark.parametrize("promise", MAILER_CONTRACT)
async def test_the_double_keeps_the_promise(promise: MailerPromise) -> None:
    """Where nothing fails."""
    assert isinstance(RecordingMailer(), Mailer)
    await promise(bench(RecordingMailer()))


@dataclass
class Mutant:
    """A mailer that is wrong in one respect: in what it sends, in what arrives, or in what it answers."""

    inner: RecordingMailer
    sends: Callable[[Mail], Mail] = lambda mail: mail
    arrives: Callable[[bytes], bytes] = lambda content: content
    answers: Callable[[Sent | Refused | Unknown], Sent | Refused | Unknown] = lambda outcome: outcome
    timeout: float = 1.0

    async def send(self, mail: Mail) -> Sent | Refused | Unknown:
        return self.answers(await self.inner.send(self.sends(mail)))

    async def close(self) -> None:
        pass

    async def arrived(self) -> list[bytes]:
        return [self.arrives(content) for content in self.inner.letters]


def changed(**parts: object) -> Callable[[Mail], Mail]:
    return lambda mail: msgspec.structs.replace(mail, **parts)


def named_anew() -> Callable[[Mail], Mail]:
    """Name each sending after itself: the second is another mail."""
    count = iter(range(1000))
    return lambda mail: msgspec.structs.replace(mail, headers={"X-Try": str(next(count))})


def _tried(content: bytes) -> bytes:
    return content.replace(b"@localhost>", b"@try" + content.partition(b"X-Try: ")[2][:1] + b">")


MUTANTS: dict[MailerPromise, list[dict[str, Callable[..., object]]]] = {
    contract.a_mail_comes_whole: [
        {"sends": changed(html=None)},
        {"sends": changed(headers={})},
        {"sends": changed(to="eve@example.org")},
        {"sends": lambda mail: msgspec.structs.replace(mail, subject=mail.subject[:70])},
        {"sends": lambda mail: msgspec.structs.replace(mail, text=mail.text.replace("\n.\n", "\n"))},
    ],
    contract.a_mail_says_that_a_machine_wrote_it: [
        {"arrives": lambda content: content.replace(b"Auto-Submitted", b"X-Submitted")},
        {"arrives": lambda content: content.replace(b"Date:", b"X-Date:")},
    ],
    contract.a_mail_sent_again_is_recognised: [{"sends": named_anew(), "arrives": _tried}],
    contract.an_address_that_is_none_is_refused: [
        {"answers": lambda _: Sent()},
        {"answers": lambda outcome: Unknown("refused") if isinstance(outcome, Refused) else outcome},
    ],
}


@pytest.mark.parametrize(
    ("promise", "wrong"), [(promise, wrong) for promise, several in MUTANTS.items() for wrong in several]
)
async def test_a_mutant_breaks_its_promise(promise: MailerPromise, wrong: dict[str, Callable[..., object]]) -> None:
    """And by a promise that says so."""
    mutant = Mutant(RecordingMailer(), **wrong)  # type: ignore[arg-type]
    arrived: Callable[[], Awaitable[list[bytes]]] = mutant.arrived
    with pytest.raises(BrokenPromiseError):
        await promise(replace(bench(mutant.inner), mailer=mutant, arrived=arrived))


def test_each_promise_has_a_mutant() -> None:
    """A new one needs one, too."""
    assert set(MUTANTS) == set(MAILER_CONTRACT)


@pytest.mark.parametrize(
    ("fault", "outcome", "taken"),
    [
        (Fault.LOSE, Unknown, 1),
        (Fault.DROP, Unknown, 0),
        (Fault.LATE, Unknown, 0),
        (Fault.TWICE, Sent, 2),
        (Fault.REFUSE, Refused, 0),
        (Fault.SLOW, Sent, 1),
        (Fault.DOWN, Unknown, 0),
        (None, Sent, 1),
    ],
)
async def test_the_double_fails_as_told(fault: Fault | None, outcome: type, taken: int) -> None:
    """Each fault once; then all goes well. What is late lands when told."""
    plan, clock = FaultPlan(MAILER_OPERATIONS), VirtualClock()
    mailer = RecordingMailer(plan, clock)
    plan.next("send", fault)
    begun = clock.monotonic()
    assert isinstance(await mailer.send(letter()), outcome)
    assert len(mailer.taken) == taken
    assert (clock.monotonic() - begun >= mailer.timeout / 2) is (fault is Fault.SLOW)
    mailer.land()
    assert len(mailer.taken) == taken + (fault is Fault.LATE)
    assert await mailer.send(letter(2)) == Sent()
    assert mailer.to("ada@example.org")[-1] == letter(2)
    assert len(mailer.to("ada@example.org")) == (2 if taken or fault is Fault.LATE else 1)
    assert mailer.calls == 2
