"""Log lines: structlog over the standard library's logging, so that the server's own lines look the same."""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.types import Processor

__all__ = ["LOGGER", "configure_logs", "logger"]

LOGGER = "semel"
"""The name of the logger that every event goes to; an application that embeds Semel sets its level and handlers."""

_OURS: Final = (LOGGER, "uvicorn")

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logger() -> structlog.stdlib.BoundLogger:
    """Return a logger for events. It carries what is bound to the context, such as the request's id."""
    bound: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(LOGGER),
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return bound


def configure_logs(level: str, form: Literal["console", "json"], stream: TextIO | None = None) -> None:
    """Send all log lines of this process to ``stream`` (stderr), one line each.

    ``level`` is the least of Semel's own lines and the server's; of libraries only warnings and worse are of interest.
    """
    to = stream or sys.stderr
    renderer: Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=to.isatty())
    )
    handler = logging.StreamHandler(to)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
