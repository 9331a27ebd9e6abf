"""Exactly once across a bad network, with a real Keycloak behind it."""

from __future__ import annotations

import pytest

from semel.model import Secret
from semel.ports import Found, FoundPage
from semel.providers.keycloak import KeycloakProvider
from semel.system import SystemIds
from tests.keycloak import Keycloak
from tests.providers.chaos import Case, Network, exactly_once, people_of, storm
from tests.providers.keycloak_parts import forwarding, opened
from tests.providers.web import Reply, WebServer
from tests.scale import SCALE

PEOPLE = SCALE.pick(normal=12, full=200)
SEEDS = range(SCALE.pick(normal=1, full=5))
FAILED = Reply(500, {"error": "unknown_error", "error_description": "For more on this error consult the server log."})
SLOW = 0.02
"""Virtual seconds in a millisecond: a real server takes its time, and a lease must outlast its answer."""

pytestmark = pytest.mark.timeout(300)  # the first of all may wait for the server's start


async def emptied(provider: KeycloakProvider) -> list[Found]:
    """Return everybody in the realm, and delete them."""
    found: list[Found] = []
    while isinstance(page := await provider.page(None, 100), FoundPage) and page.identities:
        for each in page.identities:
            await provider.delete(each.provider_id)
        found += page.identities
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_the_network_does_each_is_made_once_or_not_at_all(keycloak: Keycloak, seed: int) -> None:
    """At rest every success has one account and one identity, and no failure has either."""
    key = SystemIds().secret().encode()
    case = Case(people_of(PEOPLE), SLOW)
    async with forwarding(keycloak.url) as forward, opened(keycloak.options("chaos"), key) as direct:
        await emptied(direct)
        network = Network(forward, FAILED, seed)

        def through(web: WebServer) -> KeycloakProvider:
            url = Secret(f"keycloak+{web.url}/realms/chaos")
            return KeycloakProvider(keycloak.options("chaos", url=url, timeout=5.0), key, case.clock)

        told = await storm(network, case, through)
        await exactly_once(case, await emptied(direct), told)
    assert len(network.weather) > 4, network.weather
