"""The server's command."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from semel.cli.opened import ask, read_settings
from semel.cli.output import print_lines
from semel.config import Settings
from semel.config_names import scheme, variable
from semel.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["application", "serve"]

_APPLICATION = "semel.cli.serve:application"


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes to run.")] = None,
    upkeep: Annotated[bool | None, typer.Option(help="Whether to run upkeep beside requests.")] = None,
) -> None:
    """Run the server until told to stop; requests and registrations in flight end first."""
    given = {"host": host, "port": port, "workers": workers, "upkeep": upkeep}
    # The workers are processes of their own and read the environment.
    os.environ.update({variable(name): str(value) for name, value in given.items() if value is not None})
    settings = read_settings()
    _refuse_early(settings)
    _welcome(settings)
    _run(settings)


def application() -> FastAPI:
    """Return what each worker serves."""
    from semel.http import create_app  # noqa: PLC0415 - the extra "server" may not be installed

    return create_app(read_settings())


def _refuse_early(settings: Settings) -> None:
    """Say in one line what would keep every worker from starting."""
    try:
        from semel.http.limits import check_limits  # noqa: PLC0415 - the extra "server" may not be installed
    except ModuleNotFoundError as error:
        raise ConfigurationInvalid(f"semel serve needs {error.name}: install semel[server]") from None
    check_limits(settings)
    if settings.workers > 1 and scheme(settings.database_url.get_secret_value()) == "memory":
        raise ConfigurationInvalid(f"a store in memory serves one process: set {variable('workers')} to 1")
    ask(lambda semel: semel.jwks())
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        where = f"{variable('host')} and {variable('port')}"
        raise ConfigurationInvalid(f"{where}: cannot listen there ({error.strerror}); choose others") from None


def _welcome(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    person = '{"name": "Ada", "email": "ada@gmail.com", "password": "correct horse battery"}'
    print_lines(
        f"Semel serves {url}, and its OpenAPI document at {url}/openapi.json. Sign somebody up:",
        f"  curl -i {url}/api/auth/signup -H 'Content-Type: application/json' -d '{person}'",
    )
    if settings.mail_page:
        print_lines(f"Mail stays on this machine, at {url}/mail.")
    sys.stdout.flush()


def _run(settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 - the extra "server" may not be installed

    from semel.http.protocol import HEAD_LIMIT, BoundedHttp  # noqa: PLC0415 - the same

    # uvicorn ends gracefully at SIGTERM, then raises the signal again: it has been obeyed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as closing:
        if settings.workers > 1:
            # Where workers share their metrics, so that whichever is scraped tells of all.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = closing.enter_context(TemporaryDirectory(prefix="semel-"))
        uvicorn.run(
            _APPLICATION,
            factory=True,
            http=BoundedHttp,
            h11_max_incomplete_event_size=HEAD_LIMIT,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # the application's, which knows the settings
            timeout_graceful_shutdown=int(settings.shutdown_seconds),
        )
