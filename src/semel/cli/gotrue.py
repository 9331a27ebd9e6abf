"""Commands about Supabase's API on the embedded provider."""

from __future__ import annotations

import typer

from semel.cli.opened import read_settings
from semel.cli.output import AsJson, print_json, print_pairs
from semel.config_names import variable
from semel.errors import ConfigurationInvalid
from semel.gotrue_tokens import shared_key_tokens
from semel.system import SystemClock

__all__ = ["gotrue"]

gotrue = typer.Typer(help="Supabase's API, which a setting switches on.", no_args_is_help=True)


@gotrue.callback()
def common() -> None:
    """Keep ``keys`` a command of its own: Typer would take an only one for the group itself."""


@gotrue.command()
def keys(*, as_json: AsJson = False) -> None:
    """Make the keys of Supabase's API: anon is for everybody, service_role may do everything."""
    options = read_settings().gotrue_options()
    if options is None:
        raise ConfigurationInvalid(f"{variable('gotrue_jwt_secret')} is missing: draw at least 32 random characters")
    made = shared_key_tokens(options.jwt_secret, SystemClock().now())
    (print_json if as_json else print_pairs)(made)
