"""The settings of webhooks: what is right, and what is said of what is not, without any value."""

import pytest

from semel.couriers.options import WebhookOptions
from semel.errors import ConfigurationInvalid
from semel.model import Secret

SECRET = "whsec_" + "c2VjcmV0" * 5
URL = "https://billing.example.com/hooks"


def made(webhooks: str, secrets: str, *, allow_private: bool = False) -> WebhookOptions:
    return WebhookOptions(webhooks=Secret(webhooks), secrets=Secret(secrets), allow_private=allow_private)


def test_nobody_listens_by_default() -> None:
    """Then there are no endpoints."""
    assert WebhookOptions().endpoints == ()


def test_several_endpoints_and_secrets() -> None:
    """Names lead from one setting to the other; two secrets of one name are in their order."""
    one, other = made(
        f"billing={URL}, crm=https://crm.example.com/?a=b", f"crm={SECRET},billing={SECRET} {SECRET}"
    ).endpoints
    assert (one.name, one.url.reveal(), len(one.secrets)) == ("billing", URL, 2)
    assert (other.name, other.url.reveal(), len(other.secrets)) == ("crm", "https://crm.example.com/?a=b", 1)


def test_without_tls_only_where_private_addresses_are_allowed() -> None:
    """The event's ids would be for everybody to read."""
    plain = "http://localhost:8000/hooks"
    assert made(f"billing={plain}", f"billing={SECRET}", allow_private=True).endpoints
    with pytest.raises(ConfigurationInvalid, match="https"):
        made(f"billing={plain}", f"billing={SECRET}")


@pytest.mark.parametrize(
    ("webhooks", "secrets", "said"),
    [
        (URL, f"billing={SECRET}", "webhooks must read"),
        (f"Billing={URL}", f"billing={SECRET}", "webhooks must read"),
        (f"billing={URL},billing={URL}", f"billing={SECRET}", "each name once"),
        (f"billing={URL}", "", "secrets: those of billing"),
        (f"billing={URL}", "billing=whsec_c2hvcnQ=", "24 to 64"),
        (f"billing={URL}", f"billing={SECRET.removeprefix('whsec_')}", "whsec_"),
        (f"billing={URL}", f"billing={SECRET} {SECRET} {SECRET}", "one or two"),
        (f"billing={URL}", f"billing={SECRET},crm={SECRET}", "crm, which is not in webhooks"),
        ("billing=https://user:word@example.com/", f"billing={SECRET}", "without user"),
        ("billing=https://example.com/#part", f"billing={SECRET}", "fragment"),
        ("billing=https:///hooks", f"billing={SECRET}", "https URL"),
        ("billing=ftp://example.com/", f"billing={SECRET}", "https URL"),
        ("billing=https://example.com:port/", f"billing={SECRET}", "https URL"),
    ],
)
def test_what_cannot_be_right_is_said(webhooks: str, secrets: str, said: str) -> None:
    """By the names of endpoints and settings alone."""
    with pytest.raises(ConfigurationInvalid, match=said) as refused:
        made(webhooks, secrets)
    assert "example.com" not in refused.value.detail
    assert SECRET not in refused.value.detail
