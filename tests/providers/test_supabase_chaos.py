"""Exactly once across a bad network, with Supabase behind it."""

from __future__ import annotations

import pytest

from semel.providers.supabase import SupabaseProvider
from tests.providers.chaos import KINDS, Case, Network, exactly_once, people_of, storm
from tests.providers.gotrue import GoTrue, problem
from tests.providers.supabase_parts import options
from tests.providers.web import WebServer
from tests.scale import SCALE

PEOPLE = SCALE.pick(normal=30, full=400)
SEEDS = range(SCALE.pick(normal=2, full=5))
FAILED = problem(500, "unexpected_failure", "Database error creating new user")


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_the_network_does_each_is_made_once_or_not_at_all(seed: int) -> None:
    """At rest every success has one account and one identity, and no failure has either."""
    case, gotrue = Case(people_of(PEOPLE)), GoTrue()
    network = Network(gotrue, FAILED, seed)

    def opened(web: WebServer) -> SupabaseProvider:
        return SupabaseProvider(options(web, confirm_emails=True), case.clock)

    told = await storm(network, case, opened)
    await exactly_once(case, gotrue.provider.everybody(), told)
    assert {*network.weather} == {"fair", *KINDS}
