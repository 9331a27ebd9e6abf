"""Log lines and counters: each event is one line and one count, for people or for machines."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from semel.observe import Metrics, ObservedEvents, configure_logs, observed_provider
from semel.ports import RemoteProvider, Unknown
from semel.testing import PROVIDER_OPERATIONS, FakeProvider, Fault, FaultPlan, VirtualClock

CONFLICT = {"door": "signup", "fields": ["email", "username"], "registration": "r"}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where log lines go; the process's own logging is put back afterwards."""
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = root.handlers[:]
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_event_is_a_line_for_machines(lines: io.StringIO) -> None:
    """JSON with the event's name, its fields, level and time, and what is bound to the context."""
    configure_logs("info", "json", lines)
    with structlog.contextvars.bound_contextvars(request_id="the request"):
        ObservedEvents(Metrics()).emit("registration.conflict", CONFLICT)
    line = json.loads(lines.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == CONFLICT | {"event": "registration.conflict", "level": "info", "request_id": "the request"}


async def test_why_an_outcome_is_unknown_is_logged(lines: io.StringIO) -> None:
    """An operator is told what no caller is."""
    configure_logs("warning", "json", lines)
    plan = FaultPlan(PROVIDER_OPERATIONS)
    watched = observed_provider(FakeProvider(faults=plan), Metrics(), VirtualClock())
    assert isinstance(watched, RemoteProvider)
    plan.next("find", Fault.DROP)
    answer = await watched.find("nobody")
    assert isinstance(answer, Unknown)
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["operation"], line["why"]) == ("provider.unknown", "find", answer.why)


def test_an_event_is_a_line_for_people(lines: io.StringIO) -> None:
    """Without colours where nobody sees them."""
    configure_logs("info", "console", lines)
    ObservedEvents(Metrics()).emit("registration.conflict", CONFLICT)
    assert "registration.conflict" in lines.getvalue()
    assert "door=signup" in lines.getvalue()
    assert "\x1b" not in lines.getvalue()
    assert lines.getvalue().count("\n") == 1


def test_a_line_below_the_level_is_left_out(lines: io.StringIO) -> None:
    """Its count is not."""
    configure_logs("warning", "json", lines)
    metrics = Metrics()
    events = ObservedEvents(metrics)
    for name in ("session.refreshed", "registration.conflict", "session.reused"):
        events.emit(name, CONFLICT)
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["session.reused"]
    assert metrics.registry.get_sample_value("semel_events_total", {"event": "session.refreshed"}) == 1


def test_other_libraries_lines_look_the_same(lines: io.StringIO) -> None:
    """Warnings and worse of any, and the server's own; no chatter."""
    configure_logs("info", "json", lines)
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("alembic").info("setup")
    logging.getLogger("asyncpg").warning("odd")
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["Started", "odd"]


@pytest.mark.parametrize("library", ["aiobotocore.credentials", "azure.identity.aio", "botocore.tokens"])
def test_what_is_raised_as_well_is_no_warning(lines: io.StringIO, library: str) -> None:
    """Unless somebody asks for all lines: credentials that are not there are one line of ours."""
    for level in ("info", "debug"):
        configure_logs(level, "json", lines)
        logging.getLogger(library).warning("No token at %s", level)
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["No token at debug"]


def test_events_are_counted_by_what_they_say() -> None:
    """Registrations by door and outcome, conflicts by field, waits, rescues; and every event by name."""
    metrics = Metrics()
    events = ObservedEvents(metrics)
    events.emit("registration.ended", {"door": "signup", "outcome": "created", "registration": "r"})
    events.emit("registration.conflict", CONFLICT)
    events.emit("registration.waited", {"door": "signup", "registration": "r"})
    events.emit("registration.rescued", {"outcome": "failed", "registration": "r"})
    for name, labels in (
        ("registrations", {"door": "signup", "outcome": "created"}),
        ("conflicts", {"door": "signup", "field": "email"}),
        ("conflicts", {"door": "signup", "field": "username"}),
        ("waits", {"door": "signup"}),
        ("rescues", {"outcome": "failed"}),
        ("events", {"event": "registration.conflict"}),
    ):
        assert metrics.registry.get_sample_value(f"semel_{name}_total", labels) == 1


def test_two_in_one_process_count_for_themselves() -> None:
    """No registry is shared, with another one or with the application."""
    first, second = Metrics(), Metrics()
    ObservedEvents(first).emit("session.started", {})
    assert b"session.started" in first.text()
    assert b"session.started" not in second.text()


_WORKER = """
from semel.observe import Metrics, ObservedEvents
metrics = Metrics()
ObservedEvents(metrics).emit("session.started", {})
metrics.removals.set(3)
print(metrics.text().decode())
"""


def test_a_worker_that_was_killed_is_counted_no_more(tmp_path: Path) -> None:
    """What it was hashing when it died waits for nobody."""
    program = (
        "import os, signal; from semel.observe.metrics import Metrics; "
        "Metrics().hash_queue.set(7); os.kill(os.getpid(), signal.SIGKILL)"
    )
    variables = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=variables, check=False)
    ask = "from semel.observe.metrics import Metrics; print(Metrics().text().decode())"
    told = subprocess.run([sys.executable, "-c", ask], env=variables, check=True, capture_output=True, text=True)
    assert "semel_hash_queue 7.0" not in told.stdout


def test_workers_of_one_server_count_together(tmp_path: Path) -> None:
    """Whichever of them is asked tells of all."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for count in (1, 2):
        told = subprocess.check_output([sys.executable, "-c", _WORKER], env=environment, text=True)
        assert f'semel_events_total{{event="session.started"}} {count}.0' in told
        assert "semel_removals 3.0" in told
