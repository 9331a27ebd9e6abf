"""The search for secrets finds them."""

from pathlib import Path

import pytest

from tests.servers import Servers, leaked


def test_a_printed_secret_is_found(tmp_path: Path) -> None:
    """Anywhere in what a server printed, and the finding itself does not print it again."""
    servers = Servers(tmp_path)
    secret = servers.secret()
    log = tmp_path / "0001.log"
    log.write_text(f"all is well\nerror: cannot use {secret!r}\n")
    with pytest.raises(AssertionError, match="cannot use") as caught:
        servers.check()
    assert secret not in str(caught.value)


def test_what_is_no_secret_is_not_found() -> None:
    """A clean log passes, and so does any log before a secret is made."""
    assert leaked("all is well", {"hidden-secret"}) == []
    assert leaked("all is well", set()) == []


def test_of_secrets_that_begin_alike_each_is_found() -> None:
    """Whole, wherever it stands, and however short: what only begins like one is no secret."""
    hidden = {"Pass-one", "Pass-one-more", "Pass-two", "abc"}
    text = "Pass-tw Pass-on\nxPass-two\nPassPass-one-more\nlast: abc"
    assert leaked(text, hidden) == ["x(secret)", "Pass(secret)", "last: (secret)"]
