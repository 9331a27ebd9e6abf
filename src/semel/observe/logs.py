"""Log lines: structlog over the standard library's logging, so that the server's own lines look the same."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog
from structlog.types import Processor
from typing_extensions import override

__all__ = ["LOGGER", "Log", "configure_logs"]

LOGGER = "semel"
"""The name of the logger that every event goes to; an application that embeds Semel sets its level and handlers."""

_OURS: Final = (LOGGER, "uvicorn")
_TALKATIVE: Final = ("aiobotocore", "azure.identity", "botocore")

_merge: Final = structlog.contextvars.merge_contextvars
_name_level: Final = structlog.stdlib.add_log_level


class _Line(dict[str, Any]):
    """An event on its way through the standard library's logging: a record's message."""


class Log:
    """A logger for events. A line carries what is bound to the context, such as the request's id.

    structlog's processors, then a record of the standard library, but not by structlog's own way from one to the other:
    that looks for the line of code which logs and makes each record twice, two thirds of what a line costs.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER)

    def log(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        """Log an event, unless its level is below the logger's."""
        if not self._logger.isEnabledFor(level):
            return
        name = logging.getLevelName(level).lower()
        line = _name_level(self._logger, name, _merge(self._logger, name, {"event": event, **fields}))
        self._logger.handle(logging.LogRecord(LOGGER, level, "", 0, _Line(line), None, None))


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders our events, and what others log as if it were one."""

    def __init__(self, renderer: Processor) -> None:
        first: list[Processor] = [_merge, _name_level, lambda _, __, line: _stamped(line, line["_record"])]
        without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        last: list[Processor] = [without_meta, structlog.processors.format_exc_info, renderer]
        super().__init__(foreign_pre_chain=first, processors=last)
        self._renderer = renderer

    @override
    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, _Line):
            return str(self._renderer(None, "", _stamped(record.msg, record)))
        return super().format(record)


def _stamped(line: Mapping[str, Any], record: logging.LogRecord) -> dict[str, Any]:
    second = int(record.created)
    return {**line, "timestamp": f"{_second(second)}.{int((record.created - second) * 1e6):06}Z"}


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    """Return a moment to the second in ISO 8601; most lines share it with the line before."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def configure_logs(level: str, form: Literal["console", "json"], stream: TextIO | None = None) -> None:
    """Send all log lines of this process to ``stream`` (stderr), one line each.

    ``level`` is the least of Semel's own lines and the server's; of libraries only warnings and worse are of interest.
    """
    to = stream or sys.stderr
    handler = logging.StreamHandler(to)
    handler.setFormatter(_Formatter(_json if form == "json" else structlog.dev.ConsoleRenderer(colors=to.isatty())))
    # No line shows these, so no record need find them out.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # They warn over a dozen lines of what they raise as well; who looks for the reason asks for all lines.
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING if level == "debug" else logging.ERROR)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())


_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


def _json(_: object, __: str, line: Mapping[str, Any]) -> str:
    try:
        return _encode(line).decode()
    except UnicodeEncodeError:  # half a surrogate pair, for which JSON has escapes alone
        return json.dumps(line, default=repr)
