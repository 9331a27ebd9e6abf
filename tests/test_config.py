"""Settings: where they come from, what they are refused for, and that nothing refused is repeated."""

from collections.abc import Callable
from pathlib import Path

import pytest
from limits import parse_many

from semel.config import Settings
from semel.config_names import PREFIX, variable
from semel.errors import ConfigurationInvalid
from semel.model import Secret
from semel.protocol.options import Options
from semel.sessions import SessionOptions
from semel.system import Argon2Options

HUSH = "hush-hush-hush"
EXAMPLE = Path(__file__).parents[1] / ".env.example"

Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads settings from a file with this content."""

    def read(text: str) -> Settings:
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        return Settings(_env_file=path)

    return read


def refusal(read: Read, text: str) -> str:
    with pytest.raises(ConfigurationInvalid) as refused:
        read(text)
    return refused.value.detail


def test_the_defaults_are_those_of_the_parts() -> None:
    """Each default stands in one other place, next to what it means; they agree."""
    settings = Settings(_env_file=None)
    assert settings.options() == Options()
    assert settings.session_options() == SessionOptions()
    assert settings.argon2_options() == Argon2Options()
    assert settings.policy().default_role in settings.policy().roles


def test_a_file_is_read(read: Read) -> None:
    """Numbers, switches, lists and secrets; what belongs to others is left alone, and an empty value is none."""
    settings = read(
        "SEMEL_LEASE_SECONDS=40\nSEMEL_UPKEEP=off\nSEMEL_ROLES= Writer , Reader\nSEMEL_DEFAULT_ROLE=Reader\n"
        f"SEMEL_SECRET_KEY={HUSH * 3}\nDATABASE_URL=somebody else's\nSEMEL_TEST_SCALE=full\nSEMEL_CORS_ORIGINS=\n"
    )
    assert (settings.options().lease, settings.upkeep, settings.roles) == (40, False, ("Writer", "Reader"))
    assert settings.cors_origins == ()
    assert isinstance(settings.key_options().secret_key, Secret)
    assert (settings.key_options().secret_key or Secret("")).reveal() == HUSH * 3


def test_arguments_come_before_the_file(read: Read, tmp_path: Path) -> None:
    """What the program says stands above what its surroundings say."""
    read("SEMEL_LEASE_SECONDS=40\n")
    assert Settings(_env_file=tmp_path / ".env", lease_seconds=60).lease_seconds == 60


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SEMEL_LEASE_SECONDS=soon", "SEMEL_LEASE_SECONDS: Input should be a valid number"),
        ("SEMEL_LEASE_SECONDS=9", "SEMEL_LEASE_SECONDS must be at least twice SEMEL_PROVIDER_TIMEOUT_SECONDS"),
        ("SEMEL_SKEW_SECONDS=6", "SEMEL_SKEW_SECONDS must be from 0 to a quarter of SEMEL_LEASE_SECONDS"),
        ("SEMEL_REMOVAL_HORIZON_SECONDS=79", "SEMEL_REMOVAL_HORIZON_SECONDS must be at least four leases"),
        ("SEMEL_SESSION_DAYS=0.001", "SEMEL_ACCESS_TOKEN_SECONDS must be above 0 and at most SEMEL_SESSION_DAYS"),
        ("SEMEL_SESSIONS_PER_ACCOUNT=51", "SEMEL_SESSIONS_PER_ACCOUNT must be from 1 to 50"),
        ("SEMEL_ARGON2_MEMORY_KIB=7", "SEMEL_ARGON2_MEMORY_KIB must be at least 8"),
        ("SEMEL_SECRET_KEY=short", "SEMEL_SECRET_KEY must be at least 32 characters"),
        ("SEMEL_ROLES=Creator, ADMIN", "SEMEL_ROLES: must not offer an administrator's role"),
        ("SEMEL_ROLES=Member,ＡＤＭＩＮ", "SEMEL_ROLES: must not offer an administrator's role"),
        ("SEMEL_DATABASE_URL=foo", "SEMEL_DATABASE_URL must begin with one of sqlite:, postgresql:"),
        ("SEMEL_DATABASE_URL=mysql://db", "SEMEL_DATABASE_URL must begin with one of sqlite:, postgresql:"),
        ("SEMEL_PROVIDER_URL=embedded", "SEMEL_PROVIDER_URL must begin with one of embedded:"),
        ("SEMEL_KEY_ROTATION_DAYS=1\nSEMEL_ACCESS_TOKEN_SECONDS=86395", "SEMEL_KEY_ROTATION_DAYS must exceed"),
        ("SEMEL_DEFAULT_ROLE=Owner", "SEMEL_DEFAULT_ROLE must be one of SEMEL_ROLES"),
        ("SEMEL_IDENTITY_TABLE=users", "SEMEL_IDENTITY_TABLE: must be schema.table"),
        ("SEMEL_IDENTITY_TABLE=auth.users", "SEMEL_IDENTITY_TABLE needs PostgreSQL in SEMEL_DATABASE_URL"),
        (
            "SEMEL_IDENTITY_TABLE=auth.users\nSEMEL_DATABASE_URL=postgres://db",
            "SEMEL_IDENTITY_TABLE needs PostgreSQL in SEMEL_DATABASE_URL, and Supabase Auth in SEMEL_PROVIDER_URL",
        ),
        (
            "SEMEL_IDENTITY_TABLE=auth.users\nSEMEL_PROVIDER_URL=fake+tcp://127.0.0.1:1",
            "SEMEL_IDENTITY_TABLE needs PostgreSQL in SEMEL_DATABASE_URL",
        ),
        ("SEMEL_LOG_FORMAT=xml", "SEMEL_LOG_FORMAT: Input should be 'console' or 'json'"),
        ("SEMEL_PORT=0", "SEMEL_PORT: Input should be greater than or equal to 1"),
        ("SEMEL_LEESE_SECONDS=9", "SEMEL_LEESE_SECONDS is no setting: did you mean SEMEL_LEASE_SECONDS?"),
        ("SEMEL_WHATEVER=9", "SEMEL_WHATEVER is no setting: take it away; `semel config` lists all settings"),
        ("SEMEL_SERVICE_HOST=10.0.0.1", "SEMEL_SERVICE_HOST is no setting: Kubernetes sets it"),
        ("SEMEL_CORS_ORIGINS=https://app.example/", "SEMEL_CORS_ORIGINS: must be origins such as https://"),
        ("SEMEL_PORT=a\nSEMEL_UPKEEP=b", "SEMEL_UPKEEP: Input should be a valid boolean"),
    ],
)
def test_a_wrong_setting_is_refused(read: Read, text: str, says: str) -> None:
    """One line names the variable and the remedy."""
    line = refusal(read, text)
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize("role", ["admin", "Administrator", "ROOT", "superUser"])
def test_nobody_signs_up_as_an_administrator(read: Read, role: str) -> None:
    """By whichever of its names."""
    assert "administrator's role" in refusal(read, f"SEMEL_ROLES=Member, {role}")


def test_a_key_signs_for_longer_than_a_token_lives(read: Read) -> None:
    """And the difference of the clocks: else a token could outlive the key that verifies it."""
    assert read("SEMEL_KEY_ROTATION_DAYS=1\nSEMEL_ACCESS_TOKEN_SECONDS=86394\n").key_rotation_days == 1


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment, as in a file."""
    monkeypatch.setenv("SEMEL_LEESE_SECONDS", "9")
    with pytest.raises(ConfigurationInvalid, match="SEMEL_LEESE_SECONDS is no setting"):
        Settings(_env_file=None)


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_a_refusal_never_repeats_a_value(read: Read, field: str) -> None:
    """Nor does the error's cause: a traceback would show it."""
    with pytest.raises(ConfigurationInvalid) as refused:
        read(f"{variable(field)}={HUSH}\nSEMEL_PORT={HUSH}\n")
    assert HUSH not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_misspelt_argument_is_refused() -> None:
    """By its own name, since no variable is meant."""
    with pytest.raises(ConfigurationInvalid, match="databse_url is no setting: did you mean database_url"):
        Settings(_env_file=None, databse_url="memory:")


def test_secrets_do_not_show() -> None:
    """Neither in the repr nor in a dump."""
    settings = Settings(_env_file=None, secret_key=HUSH * 3, database_url=f"postgresql://me:{HUSH}@db/app")
    assert HUSH not in repr(settings) + str(settings) + repr(settings.model_dump()) + settings.model_dump_json()


def test_settings_do_not_change() -> None:
    """Whoever holds them may rely on them."""
    with pytest.raises(ValueError, match="frozen"):
        Settings(_env_file=None).lease_seconds = 1


def test_every_setting_says_what_it_means() -> None:
    """For those who read them in code, and in ``.env.example``."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_example_lists_every_setting_with_its_default_and_meaning(read: Read) -> None:
    """With all of its lines in force it says what holds without it."""
    text = EXAMPLE.read_text()
    given = [line.removeprefix("#") for line in text.splitlines() if line.startswith(f"#{PREFIX}")]
    assert [line.partition("=")[0] for line in given] == [variable(name) for name in Settings.model_fields]
    assert read("\n".join(given)) == Settings(_env_file=None)
    words = " ".join(text.replace("\n# ", " ").split())
    assert [
        name for name, field in Settings.model_fields.items() if " ".join(str(field.description).split()) not in words
    ] == []


def test_accounts_may_be_told_to_follow_no_table_anywhere() -> None:
    """Whoever has left Supabase says so with whatever provider there is now."""
    assert Settings(_env_file=None, identity_table="none").identity_table == "none"


def test_supabases_api_needs_the_embedded_provider(read: Read) -> None:
    """Both settings are named; a short secret is refused, and not repeated."""
    remote = "SEMEL_PROVIDER_URL=fake+tcp://127.0.0.1:1\n"
    refused = refusal(read, f"{remote}SEMEL_GOTRUE_JWT_SECRET={HUSH * 3}")
    assert "SEMEL_GOTRUE_JWT_SECRET" in refused
    assert "SEMEL_PROVIDER_URL" in refused
    short = refusal(read, f"SEMEL_GOTRUE_JWT_SECRET={HUSH}")
    assert "SEMEL_GOTRUE_JWT_SECRET must be at least 32" in short
    assert HUSH not in short


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("10/minute", [(10, 60)]),
        ("3/10minutes", [(3, 600)]),
        ("100 / 2 days", [(100, 2 * 86_400)]),
        ("5/Hour; 100/day", [(5, 3600), (100, 86_400)]),
    ],
)
def test_a_rate_is_what_the_library_reads(read: Read, rate: str, said: list[tuple[int, int]]) -> None:
    """How many in how many seconds."""
    given = read(f"SEMEL_RATE_LIMIT_SIGN_UP_BY_ADDRESS={rate}").rate_limit_sign_up_by_address
    assert [(one.amount, one.get_expiry()) for one in parse_many(given)] == said


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("RATE_LIMIT_SIGN_UP_BY_ADDRESS", "0/minute"),
        ("RATE_LIMIT_SIGN_UP_BY_ADDRESS", "10"),
        ("RATE_LIMIT_SIGN_UP_BY_ADDRESS", "10/fortnight"),
        ("RATE_LIMIT_SIGN_UP_BY_ADDRESS", "10/minute;"),
        ("RATE_LIMITS", f"postgresql://{HUSH}@localhost"),
        ("RATE_LIMITS", "on"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "proxy.internal"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_what_is_no_limit_and_no_network_is_refused(read: Read, setting: str, value: str) -> None:
    """With what it must be; a name or a * would trust whoever can take it."""
    refused = refusal(read, f"SEMEL_{setting}={value}")
    assert refused.startswith(f"SEMEL_{setting}: must ")
    assert HUSH not in refused


def test_proxies_are_networks_or_addresses(read: Read) -> None:
    """Of either kind."""
    given = read("SEMEL_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.7,2001:db8::/32,")
    assert given.trusted_proxies == ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")


_MAIL = "SEMEL_SMTP_URL=smtp://localhost\nSEMEL_MAIL_FROM=a@example.org\nSEMEL_PUBLIC_URL=https://app.example.com\n"
_PROOF = "SEMEL_EMAIL_VERIFICATION=true\n"


@pytest.mark.parametrize("level", ["masked", "strict"])
def test_who_tells_nothing_needs_proofs_and_mail(read: Read, level: str) -> None:
    """Else nobody could be told anything; and a remote provider's time tells."""
    masks = f"SEMEL_ENUMERATION={level}\n"
    for text in (masks, masks + _PROOF, masks + _MAIL):
        assert f"SEMEL_ENUMERATION={level} needs SEMEL_EMAIL_VERIFICATION=true and SEMEL_SMTP_URL" in refusal(
            read, text
        )
    assert read(masks + _PROOF + _MAIL).enumeration == level
    remote = masks + _PROOF + _MAIL + "SEMEL_PROVIDER_URL=fake+tcp://localhost:1\n"
    if level == "strict":
        assert "SEMEL_ENUMERATION=strict needs SEMEL_PROVIDER_URL=embedded" in refusal(read, remote)
    else:
        assert read(remote).enumeration == level


def test_only_strict_hashes_always(read: Read) -> None:
    for level, always in (("open", False), ("masked", False), ("strict", True)):
        assert read(f"SEMEL_ENUMERATION={level}\n" + _PROOF + _MAIL).options().always_hash is always


def test_proofs_go_without_supabases_api(read: Read) -> None:
    """It has no operation for them."""
    refused = refusal(read, f"{_PROOF}SEMEL_GOTRUE_JWT_SECRET={HUSH * 3}")
    assert "SEMEL_EMAIL_VERIFICATION is not offered by Supabase's API" in refused


def test_an_account_outlives_the_link_that_proves_it(read: Read) -> None:
    refused = refusal(read, "SEMEL_UNPROVED_KEPT_DAYS=0.5\nSEMEL_VERIFICATION_LINK_SECONDS=86400\n")
    assert "SEMEL_UNPROVED_KEPT_DAYS must be at least SEMEL_VERIFICATION_LINK_SECONDS" in refused
