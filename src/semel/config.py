"""The settings: from keyword arguments, the environment (``SEMEL_…``), a ``.env`` file, defaults; in that order.

Whatever is wrong with them stops the start with one line that names the variable and the remedy, and never a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from semel.config_checks import (
    DAY,
    NO_TABLE,
    YEARS,
    AdministratorsRoles,
    Count,
    Days,
    IdentityTable,
    Origins,
    PublicUrl,
    RolesToAskFor,
    Seconds,
    is_an_administrators,
    one_line,
    refuse_unknown,
    setting_of,
)
from semel.config_names import (
    ARGON2_OPTIONS,
    ENGINE_OPTIONS,
    GOTRUE_OPTIONS,
    KEY_OPTIONS,
    KEYCLOAK_OPTIONS,
    POSTGRES,
    PREFIX,
    PROVING_OPTIONS,
    SCHEMES,
    SESSION_OPTIONS,
    SUPABASE_OPTIONS,
    TAKES_OUR_IDS,
    named,
    scheme,
    variable,
)
from semel.couriers.options import WEBHOOK_OPTIONS, WebhookOptions
from semel.errors import ConfigurationInvalid
from semel.gotrue_tokens import GoTrueOptions
from semel.intents import Policy
from semel.keys import KeyOptions
from semel.mailers.options import MAIL_OPTIONS, MailOptions
from semel.model import Secret
from semel.protocol.linking import Proving
from semel.protocol.options import Options
from semel.providers.keycloak_options import KeycloakOptions
from semel.providers.supabase_options import SupabaseOptions
from semel.rates import CountsIn, Networks, Rate
from semel.sessions import SessionOptions
from semel.system import Argon2Options

__all__ = ["Settings"]

T = TypeVar("T")

_CORES: Final = os.cpu_count() or 1


class Settings(BaseSettings):
    """Every setting, with its default. Raises ``ConfigurationInvalid``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    database_url: SecretStr = SecretStr("sqlite:///semel.db")
    """The store: sqlite:///relative/path.db, sqlite:////absolute/path.db, postgresql://user:password@host/database,
    dynamodb:///table or dynamodb://region/table, azure-tables:///table or
    azure-tables://account.table.core.windows.net/table, or memory: for a trial that forgets everything. PostgreSQL
    takes ?schema=name (semel), ?pool_size=number (10), and ?pooler=transaction behind PgBouncer or Supabase's pooler
    in transaction mode."""
    provider_url: SecretStr = SecretStr("embedded:")
    """The identity provider: embedded: keeps identities in the store itself; supabase+https://project.supabase.co is
    Supabase Auth, keycloak+https://host/realms/name a realm of Keycloak (supabase+http: and keycloak+http: for
    development)."""
    supabase_service_key: SecretStr | None = None
    """The service_role or secret key of the Supabase project, for its admin API. Keep it on servers: it may do
    everything."""
    supabase_anon_key: SecretStr | None = None
    """The anon or publishable key of the Supabase project: people sign in with it."""
    supabase_confirm_emails: bool = False
    """Whether Supabase takes emails for confirmed that nobody has proved. Without it nobody signs in before Supabase's
    own confirmation."""
    keycloak_client_id: str | None = None
    """The Keycloak client whose service account makes, finds, changes and deletes users, with the role manage-users of
    realm-management."""
    keycloak_client_secret: SecretStr | None = None
    """Its secret. Keep it on servers."""
    keycloak_sign_in_client_id: str | None = None
    """The Keycloak client by which people sign in, with direct access grants; by default the same."""
    keycloak_sign_in_client_secret: SecretStr | None = None
    """Its secret."""
    keycloak_own_usernames: bool = False
    """Whether who signs up with a username has it in the Keycloak realm as well. Without it the account's id is the
    username there, and people sign in by email alone. Do not change it once there are accounts."""
    identity_table: IdentityTable | None = None
    """The provider's own table of identities, such as auth.users, where it lives in the PostgreSQL database of the
    store: `semel migrate` then lets accounts refer to it. `none` takes that away; without it all is left as it is."""
    provider_connections: Count = 64
    """How many requests to a remote identity provider a process has under way at once."""
    provider_queue: Annotated[int, Field(ge=0)] = 256
    """How many more may wait for their turn; whoever comes beyond is answered 503 at once."""
    secret_key: SecretStr | None = None
    """Wraps the signing keys in the store, and is never stored itself. At least 32 random characters, the same for all
    servers of one store. Without it whoever reads the store can sign tokens."""

    key_rotation_days: Days = 90
    """How long a key signs access tokens. For as long again it verifies them."""

    lease_seconds: Seconds = 20
    """How long a server has a registration to itself. After this and the skew, a dead server's are ended by others."""
    skew_seconds: Seconds = 5
    """How far a server's clock may be from the store's. At most a quarter of the lease."""
    provider_timeout_seconds: Seconds = 5
    """How long a remote identity provider may take to answer. At most half of the lease."""
    wait_seconds: Seconds = 8
    """How long a request waits for another one that is in its way, before it answers 409."""
    same_intent_seconds: Seconds = 60
    """For how long the same sign-up without an idempotency key is taken for a double click; 0 switches that off."""
    removal_horizon_seconds: Seconds = 900
    """For how long upkeep looks again for an identity that must not exist at a remote provider; four leases or more."""
    planted_after_days: Annotated[float, Field(ge=0, le=YEARS, allow_inf_nan=False)] = 0
    """From which age on an unconfirmed identity that somebody else made may be removed by whoever has proved its
    email to the application. 0 means never: say a number only where nobody but Semel makes identities."""
    completed_kept_days: Days = 30
    """How long a registration that succeeded is kept: until then its idempotency key gives the same answer."""
    failed_kept_days: Days = 7
    """How long a registration that failed is kept."""
    events_kept_days: Days = 30
    """How long the outbox's events are kept."""
    upkeep: bool = True
    """Whether servers run upkeep beside requests. Any number may; where none does, let a timer run `semel upkeep`."""
    upkeep_interval_seconds: Annotated[float, Field(gt=0, le=DAY, allow_inf_nan=False)] = 10
    """The time between two passes of upkeep, on the average."""

    access_token_seconds: Annotated[float, Field(ge=1, le=YEARS * DAY, allow_inf_nan=False)] = 900
    """How long an access token is good. Signing out does not wait for it."""
    session_days: Days = 30
    """How long a session lasts, counted from its sign-in."""
    refresh_reuse_seconds: Seconds = 10
    """For how long a spent refresh token buys another, so that a lost answer or a second tab signs nobody out."""
    sessions_per_account: Count = 20
    """How many sessions an account has at once, at most 50; one more ends the oldest."""
    token_issuer: str = "semel"  # noqa: S105 - a name
    """The issuer (iss) of access tokens."""
    token_audience: str = "semel"  # noqa: S105 - a name
    """The audience (aud) of access tokens."""

    gotrue_jwt_secret: SecretStr | None = None
    """Switches Supabase's API on, at /auth/v1: the secret that the application shares with it. At least 32 random
    characters. `semel gotrue keys` makes the anon and the service_role key of it. Needs the embedded provider."""
    gotrue_algorithm: Literal["HS256", "ES256"] = "HS256"
    """How that API signs access tokens: with the shared secret, or with Semel's own keys, which /.well-known/jwks.json
    shows."""
    gotrue_issuer: str = ""
    """The issuer (iss) of that API's access tokens; none by default."""
    gotrue_disable_signup: bool = False
    """Whether that API refuses sign-ups. Semel's own stays open."""
    gotrue_email_enabled: bool = True
    """Whether people sign up and in there by email."""
    gotrue_autoconfirm: bool = True
    """Whether an email that signs up there counts as confirmed. Without it nobody signs in there before an
    administrator has confirmed the email."""
    gotrue_password_min_length: Annotated[int, Field(ge=1, le=72)] = 6
    """How long a password is there at least, in bytes, as Supabase Auth counts: é has two."""
    gotrue_password_required_characters: str = ""
    """Sets of characters, parted by colons (abc:ABC:0123): a password has one of each there."""

    argon2_memory_kib: Annotated[int, Field(ge=1, le=4 * 2**20)] = 19_456
    """The memory of one password hash (argon2id), in KiB. The defaults are the profile that OWASP recommends first."""
    argon2_iterations: Annotated[int, Field(ge=1, le=1000)] = 2
    """The passes of one password hash over its memory."""
    argon2_parallelism: Annotated[int, Field(ge=1, le=256)] = 1
    """The lanes of one password hash."""
    argon2_hash_length: Annotated[int, Field(ge=1, le=1024)] = 32
    """The length of a password hash, in bytes."""
    argon2_salt_length: Annotated[int, Field(ge=1, le=1024)] = 16
    """The length of its salt, in bytes."""
    argon2_threads: Count = _CORES
    """How many passwords a process hashes at once. By default, one a core."""
    argon2_queue: Annotated[int, Field(ge=0)] = 128
    """How many more may wait to be hashed; whoever comes beyond is answered 503 at once."""

    roles: RolesToAskFor = ("Creator", "Member")
    """The roles that a sign-up may ask for, separated by commas. Never an administrator's."""
    default_role: str = "Member"
    """The role of a sign-up that asks for none."""
    admin_roles: AdministratorsRoles = ("Administrator",)
    """The roles that make an account an administrator, separated by commas. None of them may be among SEMEL_ROLES."""
    email_verification: bool = False
    """Whether who signs up opens a link in a mail before the first sign-in. Accounts of before, and those that an
    administrator makes, are let in as they were."""
    unproved_kept_days: Days = 7
    """How long an account is kept whose email nobody proves, where that is required."""
    verification_link_seconds: Annotated[float, Field(ge=60, le=YEARS * DAY, allow_inf_nan=False)] = 86_400
    """How long a link is good that proves the email of a new account, or one that an account is to have."""
    recovery_link_seconds: Annotated[float, Field(ge=60, le=YEARS * DAY, allow_inf_nan=False)] = 3600
    """How long a link is good that leads to a new password."""
    set_password_link_days: Days = 7
    """How long a link is good with which somebody sets the first password of an account that an administrator made."""
    enumeration: Literal["open", "masked", "strict"] = "open"
    """What a sign-up tells of who has an account: open says that an email is taken; masked answers the same for new and
    for taken emails, and tells the owner by mail; strict does so in the same time as well, so it hashes always, and
    needs the embedded provider. Both need SEMEL_EMAIL_VERIFICATION and SEMEL_SMTP_URL. A taken username is told by all
    three."""
    attributes_max_bytes: Count = 16_384
    """The greatest size of an account's attributes, as JSON."""
    allow_special_use_emails: bool = False
    """Whether emails under special-use domains (.test, .example, localhost) are taken. For development."""

    smtp_url: SecretStr | None = None
    """The mail server: smtp://user:password@host:587, what is reserved percent-encoded. It must offer STARTTLS, unless
    ?tls=none is said or it is on this machine; smtps: is TLS from the first byte. Without a server mail stays in a
    local mailbox, which `semel mail` shows."""
    smtp_timeout_seconds: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = 10
    """How long the mail server may take for one mail."""
    mail_from: str | None = None
    """Who writes, such as Example <noreply@example.org>. Needed with a mail server."""
    mail_reply_to: str | None = None
    """Where answers go, if not to the sender."""
    product_name: str = "Semel"
    """What mails call the application."""
    mail_templates: Path | None = None
    """A directory with templates in place of the ones that come with Semel."""
    mail_directory: Path = Path("var/mail")
    """The local mailbox, a Maildir: it is made at the first mail, and keeps the newest 200."""
    public_url: PublicUrl | None = None
    """Where people reach the application, such as https://app.example.com: links in mails lead below it. Needed with a
    mail server; without one links lead to this server."""
    mail_page: bool = False
    """Whether the server shows the local mailbox at /mail, to this machine alone. For development: whoever sees the
    page can sign in as everybody."""

    webhooks: SecretStr | None = None
    """Who is told of new, changed and deleted accounts and of invitations: name=https://host/path for each endpoint,
    separated by commas, the same for all servers of one store. None by default."""
    webhook_secrets: SecretStr | None = None
    """What signs webhooks: name=whsec_… for each endpoint, separated by commas. The base64 of 24 to 64 random bytes.
    While one takes the other's place, two separated by a space, the newer first."""
    webhook_timeout_seconds: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = 15
    """How long an endpoint may take for one webhook."""
    webhook_allow_private: bool = False
    """Whether webhooks may go to addresses of this machine or of a private network, and to http: URLs. Say so only
    where nobody but you writes the URLs."""

    host: str = "127.0.0.1"
    """The address that `semel serve` listens on."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    """The port that `semel serve` listens on."""
    workers: Count = 1
    """How many processes `semel serve` runs."""
    shutdown_seconds: Seconds = 15
    """How long a server that is told to stop lets requests and registrations end."""
    cors_origins: Origins = ()
    """The origins whose pages may call the server, separated by commas. None by default."""
    trusted_proxies: Networks = ()
    """The proxies in front of the server, as networks or addresses (10.0.0.0/8, 192.0.2.7), separated by commas: from
    them alone X-Forwarded-For and X-Forwarded-Proto are believed. None by default."""
    max_body_bytes: Count = 65_536
    """The greatest size of a request's body."""
    body_seconds: Annotated[float, Field(gt=0, le=DAY, allow_inf_nan=False)] = 10
    """How long a request's body may take to arrive."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""
    log_format: Literal["console", "json"] = "console"
    """How log lines look: console for people, json for machines."""

    rate_limits: CountsIn = SecretStr("memory")
    """Where attempts are counted: memory, by each process for itself; redis://host:6379/0 (or rediss:), by all servers
    together; or off, for load tests."""
    rate_limit_requests_by_address: Rate = "300/minute"
    """How often one address may ask for anything that has a limit, replays included. Each of these reads as 10/minute
    or 3/10minutes (second, minute, hour, day); several hold together: 10/minute; 100/day."""
    rate_limit_sign_up_by_address: Rate = "10/minute"
    """How often one address may try to sign up."""
    rate_limit_sign_in_by_address: Rate = "60/minute"
    """How often one address may try to sign in."""
    rate_limit_sign_in_by_account: Rate = "10/minute"
    """How often one may try to sign in to an account, from wherever."""
    rate_limit_invitation_by_address: Rate = "10/minute"
    """How often one address may try to accept an invitation."""
    rate_limit_resend_by_address: Rate = "10/minute"
    """How often one address may have a mail sent once more."""
    rate_limit_resend_by_account: Rate = "5/hour"
    """How often a mail may be sent once more to an account."""
    rate_limit_recovery_by_address: Rate = "10/minute"
    """How often one address may ask for the recovery of an account."""
    rate_limit_recovery_by_account: Rate = "5/hour"
    """How often the recovery of an account may be asked for, whether there is one or not."""

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic checks each
        """Read and check. ``_env_file`` names another file than ``.env``; ``None`` reads none."""
        refuse_unknown((name for name in values if not name.startswith("_")), type(self).model_fields, str)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationInvalid(one_line(error)) from None
        except (UnicodeDecodeError, OSError):
            raise ConfigurationInvalid("the .env file cannot be read: it must be text in UTF-8") from None
        self._check()

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Refuse a variable of ours that is no setting: a misspelt one would be silently without effect."""
        for source in (env_settings, dotenv_settings):
            if isinstance(source, EnvSettingsSource):
                refuse_unknown(map(setting_of, source.env_vars), cls.model_fields, variable)
        return init_settings, env_settings, dotenv_settings

    def _check(self) -> None:
        """Check the settings against each other, and what only the parts that they are for know."""
        for field, schemes in SCHEMES.items():
            url = getattr(self, field).get_secret_value()
            if ":" not in url or scheme(url) not in schemes:
                known = ", ".join(f"{one}:" for one in schemes)
                raise ConfigurationInvalid(f"{variable(field)} must begin with one of {known}")
        self._check_identity_table()
        self.options()
        self.session_options()
        self.argon2_options()
        self.key_options()
        self.mail_options()
        self.webhook_options()
        if self.provider_url.get_secret_value().lower().startswith("supabase"):
            self.supabase_options()
        if self.provider_url.get_secret_value().lower().startswith("keycloak"):
            self.keycloak_options()
        if self.gotrue_options() is not None and scheme(self.provider_url.get_secret_value()) != "embedded":
            raise ConfigurationInvalid(
                f"{variable('gotrue_jwt_secret')} is for {variable('provider_url')}=embedded: take one of the two away"
            )
        if self.key_options().rotate_after <= self.session_options().access_lifetime + self.options().skew:
            rule = f"must exceed {variable('access_token_seconds')} and {variable('skew_seconds')}"
            raise ConfigurationInvalid(f"{variable('key_rotation_days')} {rule}")
        self._check_proofs()
        if self.default_role not in self.roles:
            raise ConfigurationInvalid(f"{variable('default_role')} must be one of {variable('roles')}")
        if is_an_administrators(self.roles, self.admin_roles):
            raise ConfigurationInvalid(f"{variable('roles')} must not offer one of {variable('admin_roles')}")

    def _check_identity_table(self) -> None:
        store, provider = (scheme(url.get_secret_value()) for url in (self.database_url, self.provider_url))
        if self.identity_table not in (None, NO_TABLE) and (store not in POSTGRES or provider not in TAKES_OUR_IDS):
            needs = f"PostgreSQL in {variable('database_url')}, and Supabase Auth in {variable('provider_url')}"
            raise ConfigurationInvalid(f"{variable('identity_table')} needs {needs}")

    def _check_proofs(self) -> None:
        self.proving(b"")
        if self.enumeration != "open" and not (self.email_verification and self.smtp_url is not None):
            needs = f"{variable('email_verification')}=true and {variable('smtp_url')}"
            raise ConfigurationInvalid(f"{variable('enumeration')}={self.enumeration} needs {needs}")
        if self.enumeration == "strict" and scheme(self.provider_url.get_secret_value()) != "embedded":
            needs = (
                f"{variable('provider_url')}=embedded: a remote provider is asked for new emails alone, and that shows"
            )
            raise ConfigurationInvalid(f"{variable('enumeration')}=strict needs {needs}")
        if self.email_verification and self.gotrue_jwt_secret is not None:
            rule = f"is not offered by Supabase's API: take {variable('gotrue_jwt_secret')} away"
            raise ConfigurationInvalid(f"{variable('email_verification')} {rule}")

    def options(self) -> Options:
        """Return the durations of the protocol."""
        listened_to = bool(self.webhook_options().endpoints)
        strict = self.enumeration == "strict"
        return msgspec.structs.replace(self._made(Options, ENGINE_OPTIONS), endpoints=listened_to, always_hash=strict)

    def proving(self, key: bytes) -> Proving:
        """Return how emails are proved, with the key that makes the tokens of links."""
        return msgspec.structs.replace(self._made(Proving, PROVING_OPTIONS), key=key)

    def session_options(self) -> SessionOptions:
        """Return how long sessions live."""
        return self._made(SessionOptions, SESSION_OPTIONS)

    def key_options(self) -> KeyOptions:
        """Return how signing keys are kept."""
        return self._made(KeyOptions, KEY_OPTIONS)

    def argon2_options(self) -> Argon2Options:
        """Return what a password hash costs."""
        return self._made(Argon2Options, ARGON2_OPTIONS)

    def supabase_options(self) -> SupabaseOptions:
        """Return how a Supabase project is reached. Raises ``ConfigurationInvalid`` where a key is missing."""
        for field in ("supabase_service_key", "supabase_anon_key"):
            if getattr(self, field) is None:
                raise ConfigurationInvalid(f"{variable(field)} is missing: copy it from the project's API settings")
        return self._made(SupabaseOptions, SUPABASE_OPTIONS)

    def keycloak_options(self) -> KeycloakOptions:
        """Return how a Keycloak realm is reached. Raises ``ConfigurationInvalid`` where the client is missing."""
        for field in ("keycloak_client_id", "keycloak_client_secret"):
            if getattr(self, field) is None:
                raise ConfigurationInvalid(f"{variable(field)} is missing: copy it from the client's page in Keycloak")
        return self._made(KeycloakOptions, KEYCLOAK_OPTIONS)

    def mail_options(self) -> MailOptions:
        """Return who writes mail, and which way it goes."""
        return self._made(MailOptions, MAIL_OPTIONS)

    def webhook_options(self) -> WebhookOptions:
        """Return who listens to the events of accounts and invitations."""
        return self._made(WebhookOptions, WEBHOOK_OPTIONS)

    def links_lead_to(self) -> str | None:
        """Return what links in mails begin with; ``None`` where nobody has said, and mails reach people."""
        if self.public_url is None and self.smtp_url is None:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"http://{host}:{self.port}"
        return self.public_url

    def gotrue_options(self) -> GoTrueOptions | None:
        """Return how Supabase's API behaves, ``None`` where it is off."""
        return None if self.gotrue_jwt_secret is None else self._made(GoTrueOptions, GOTRUE_OPTIONS)

    def _made(self, kind: type[T], names: Mapping[str, str]) -> T:
        try:
            return kind(**{name: _value(self, field) for name, field in names.items()})
        except ConfigurationInvalid as error:
            raise named(error, names) from None

    def policy(self) -> Policy:
        """Return what an account may be made of."""
        return Policy(
            roles=frozenset(self.roles),
            default_role=self.default_role,
            attributes_max_bytes=self.attributes_max_bytes,
            allow_special_use=self.allow_special_use_emails,
        )


def _value(settings: Settings, field: str) -> Any:  # noqa: ANN401 - the options differ in type
    """Return a setting as the options have it: durations in seconds, secrets in our own wrapping."""
    value = getattr(settings, field)
    if isinstance(value, SecretStr):
        return Secret(value.get_secret_value())
    return value * DAY if field.endswith("_days") else value
