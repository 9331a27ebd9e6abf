"""The page on Supabase's API, done as it says; and what it names is there."""

import re
from pathlib import Path

from semel.config import Settings
from semel.config_names import PREFIX, variable
from tests.docs.how_to import HOW_TOS, HowTo, send
from tests.servers import Servers

PAGE = (HOW_TOS / "gotrue.md").read_text()


def test_every_variable_is_a_setting() -> None:
    """And each setting of the API is on the page."""
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", PAGE))
    settings = {variable(name) for name in Settings.model_fields}
    assert named <= settings
    assert {one for one in settings if one.startswith("SEMEL_GOTRUE_")} <= named


def test_its_requests_are_answered(servers: Servers, tmp_path: Path) -> None:
    """Against the server that the page starts, with the keys that its command prints."""
    url, secret = f"sqlite:///{tmp_path}/semel.db", servers.secret("jwt") + "x" * 32
    setting = {"SEMEL_GOTRUE_JWT_SECRET": servers.hide(secret)}
    servers.migrate(url)
    keys = dict(line.split() for line in servers.run("gotrue", "keys", database_url=url, **setting).stdout.splitlines())
    with servers.running(url, **setting) as server:
        asked = [one.replace("$SERVICE_ROLE_KEY", keys["service_role"]) for one in HowTo.read("gotrue").requests()]
        answers = [send(one, server.url) for one in asked]
        assert [one.status_code for one in answers] == [200] * 4
        assert [user["email"] for user in answers[-1].json()["users"]] == ["grace@example.org"]
