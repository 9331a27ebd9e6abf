"""What operators see of mail."""

from __future__ import annotations

import logging

import pytest

from semel.mail import Mail, MailKind
from semel.observe import Metrics, ObservedEvents, ObservedMailer
from semel.outgoing import Mailer, Refused, Sent
from semel.ports import Unknown
from semel.testing import MAILER_OPERATIONS, Fault, FaultPlan, RecordingMailer

ADDRESS = "ada.lovelace@example.org"
MAIL = Mail(
    id="0198-mail", kind=MailKind.RECOVER, to=ADDRESS, subject="A subject", text="A secret link", html="A secret link"
)


async def test_what_comes_of_each_mail_is_an_event(caplog: pytest.LogCaptureFixture) -> None:
    """A count and a line each, with its id and kind; without address, subject and body."""
    caplog.set_level(logging.INFO, "semel")
    plan, metrics = FaultPlan(MAILER_OPERATIONS), Metrics()
    plan.next("send", None, Fault.REFUSE, Fault.LOSE)
    mailer = ObservedMailer(RecordingMailer(plan), ObservedEvents(metrics))
    assert isinstance(mailer, Mailer)
    outcomes = [await mailer.send(MAIL) for _ in range(3)]
    assert outcomes == [Sent(), Refused(550), Unknown("the answer was lost")]
    lines = [(record.levelno, record.msg) for record in caplog.records if isinstance(record.msg, dict)]
    usual = {"mail": "0198-mail", "kind": "recover"}
    assert [(level, {key: line[key] for key in line if key != "level"}) for level, line in lines] == [
        (logging.INFO, {"event": "mail.sent", **usual}),
        (logging.WARNING, {"event": "mail.refused", **usual, "code": 550}),
        (logging.WARNING, {"event": "mail.unknown", **usual, "why": "the answer was lost"}),
    ]
    text = metrics.text().decode()
    for name in ("mail.sent", "mail.refused", "mail.unknown"):
        assert f'semel_events_total{{event="{name}"}} 1.0' in text
    assert not any(part in repr(lines) + text for part in (ADDRESS, "A subject", "secret"))
    await mailer.close()
