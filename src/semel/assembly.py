"""From settings to working parts: URL to store, provider, mailer. The only module that knows concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import msgspec

from semel.api_keys import ApiKeyBook
from semel.authorising import Gate
from semel.config import Settings
from semel.config_names import KEYCLOAK_OPTIONS, SUPABASE_OPTIONS, named, scheme, variable
from semel.couriers.mails import MailCourier, MailWriter
from semel.credentials import Passwords
from semel.errors import ConfigurationInvalid
from semel.invitations import InvitationBook, expire_invitation
from semel.keys import Keys, Purpose
from semel.links import LinkBook, expire_link
from semel.mailers.mailbox import LocalMailbox
from semel.mailers.options import MAIL_OPTIONS
from semel.model import Account, Invitation, Link, OutboxEvent, SessionFamily
from semel.observe import Metrics, ObservedMailer, observed_provider, observed_store
from semel.outgoing import Courier, Mailer
from semel.ports import Also, Clock, EmbeddedProvider, Events, Ids, RemoteProvider, Sessions, Store
from semel.protocol.engine import Engine
from semel.protocol.telling import INVITATION_MAIL
from semel.providers.embedded import EmbeddedPasswords
from semel.proving import Proofs
from semel.registrar import Registrar
from semel.remote_sessions import RemoteSessions
from semel.sessions import SessionKeeper
from semel.stores.drivers import driver
from semel.stores.memory import MemoryStore
from semel.stores.schema import Migrated
from semel.system import Argon2Hasher
from semel.upkeep import BUILT_IN, Duty, Upkeep
from semel.upkeep.delivery import DeliveryDuty
from semel.upkeep.sessions import expire
from semel.upkeep.unproved import expire_unproved

if TYPE_CHECKING:
    from semel.mails import Templates

__all__ = ["Given", "Parts", "assembled", "check_also", "migrate_store", "open_mailer", "open_store", "open_templates"]

_DELIVERIES: Final = 32
"""Events that one process delivers at once."""
_SQL: Final = frozenset({"sqlite", "postgres", "postgresql", "postgresql+asyncpg"})


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the application brings itself. Its parts stand in place of the settings', and are not closed."""

    clock: Clock
    ids: Ids
    events: Events
    metrics: Metrics
    store: Store | None = None
    provider: EmbeddedProvider | RemoteProvider | None = None
    mailer: Mailer | None = None
    also: Also | None = None


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What one open Semel works with."""

    engine: Engine
    keys: Keys
    registrar: Registrar
    sessions: SessionKeeper | RemoteSessions | None
    """``None`` at a remote provider that signs nobody in."""
    invitations: InvitationBook
    links: LinkBook
    proofs: Proofs
    passwords: Passwords
    upkeep: Upkeep
    deliveries: Upkeep
    """What delivers the outbox, beside all else: who waits for a slow endpoint holds nothing else up."""
    api_keys: ApiKeyBook
    gate: Gate
    mailer: Mailer
    templates: Templates | None
    """``None`` where no template engine is installed, and no setting needs one."""


def check_also(settings: Settings, given: Given) -> None:
    """Raise ``ConfigurationInvalid`` where ``also`` is given, and a store that has no transaction to run it in."""
    sql = scheme(settings.database_url.get_secret_value()) in _SQL
    if given.also is not None and (given.store is not None or not sql):
        raise ConfigurationInvalid(
            f"also= needs a SQL store: name sqlite: or postgresql: in {variable('database_url')}"
        )


@asynccontextmanager
async def assembled(settings: Settings, given: Given) -> AsyncIterator[Parts]:
    """Open everything and yield it; then drain the registrations in flight and close everything.

    Raises ``ConfigurationInvalid`` or ``StoreUnavailable``.
    """
    async with AsyncExitStack() as closing:
        mailer, templates = _mailer(settings, given, closing), _templates(settings)
        store = observed_store(await _store(settings, given, closing), given.metrics, given.clock)
        keys = await Keys.open(store, given.clock, given.ids, settings.key_options())
        provider = await _provider(settings, given, keys, closing)
        engine = _engine(settings, given, keys, store, provider)
        registrar = Registrar(engine, settings.policy())
        closing.push_async_callback(registrar.drain, settings.shutdown_seconds)
        sessions = _sessions(settings, engine, keys)
        key = keys.secret(Purpose.INVITATION)
        invitations = InvitationBook(engine, key, allow_special_use=settings.allow_special_use_emails)
        links = _links(settings, engine)
        couriers = _couriers(settings, given, closing)
        if templates is not None:
            couriers.append(MailCourier(mailer, _writers(settings, engine, (invitations, links), templates)))
        upkeep, deliveries = _upkeep(engine, couriers)
        engine.told = deliveries.wake
        api_keys = ApiKeyBook(engine)
        yield Parts(
            engine=engine,
            keys=keys,
            registrar=registrar,
            sessions=sessions,
            invitations=invitations,
            links=links,
            proofs=Proofs(engine, links),
            passwords=Passwords(engine),
            upkeep=upkeep,
            deliveries=deliveries,
            api_keys=api_keys,
            gate=Gate(sessions, api_keys, settings.admin_roles),
            mailer=mailer,
            templates=templates,
        )


def _engine(
    settings: Settings, given: Given, keys: Keys, store: Store, provider: EmbeddedProvider | RemoteProvider
) -> Engine:
    return Engine(
        store,
        observed_provider(provider, given.metrics, given.clock),
        clock=given.clock,
        ids=given.ids,
        events=given.events,
        fingerprint_key=keys.secret(Purpose.FINGERPRINT),
        options=msgspec.structs.replace(settings.options(), proving=settings.proving(keys.secret(Purpose.LINK))),
    )


async def migrate_store(settings: Settings) -> Migrated:
    """Bring the store's tables to this release's revision; return the one found and the one left.

    Raises ``ConfigurationInvalid`` for a store that has no tables, or what ``semel.stores.migrate`` raises.
    """
    url = settings.database_url.get_secret_value()
    if scheme(url) == "memory":
        raise ConfigurationInvalid(f"there is nothing to migrate: name a store on disk in {variable('database_url')}")
    from semel.stores.migrate import migrate  # noqa: PLC0415 - costs a quarter second that only this command needs

    return await migrate(url, settings.identity_table)


async def _store(settings: Settings, given: Given, closing: AsyncExitStack) -> Store:
    if given.store is not None:
        return given.store
    store = await open_store(settings.database_url.get_secret_value(), given, settings.identity_table)
    closing.push_async_callback(store.close)
    return store


async def open_store(url: str, given: Given, identity_table: str | None = None) -> Store:
    """Open the store of a URL, whose accounts must follow the table, if one is named; whoever asked closes it.

    Raises ``ConfigurationInvalid`` or ``StoreUnavailable``.
    """
    # Each store is imported where it is asked for: its driver may not be installed.
    match scheme(url):
        case "memory":
            return MemoryStore(given.clock.now)
        case "sqlite":
            from semel.stores.sqlite import open_sqlite  # noqa: PLC0415

            return await open_sqlite(url, given.also)
        case "dynamodb":
            with driver("DynamoDB", "dynamodb"):
                from semel.stores.dynamodb import open_dynamodb  # noqa: PLC0415
            return await open_dynamodb(url, jitter=given.ids.jitter)
        case "azure-tables":
            with driver("Azure Tables", "azure"):
                from semel.stores.azure_connect import open_azure_tables  # noqa: PLC0415
            return await open_azure_tables(url, clock=given.clock, jitter=given.ids.jitter)
        case _:
            with driver("PostgreSQL", "postgres"):
                from semel.stores.postgres import open_postgres  # noqa: PLC0415
            return await open_postgres(url, also=given.also, jitter=given.ids.jitter, identity_table=identity_table)


async def _provider(
    settings: Settings, given: Given, keys: Keys, closing: AsyncExitStack
) -> EmbeddedProvider | RemoteProvider:
    if given.provider is not None:
        return given.provider
    if scheme(settings.provider_url.get_secret_value()) == "embedded":
        hasher = Argon2Hasher(settings.argon2_options())
        closing.callback(hasher.close)
        return EmbeddedPasswords(hasher)
    provider = await _remote(settings, given, keys)
    closing.push_async_callback(provider.close)
    return provider


async def _remote(settings: Settings, given: Given, keys: Keys) -> RemoteProvider:
    url = settings.provider_url.get_secret_value()
    match scheme(url).partition("+")[0]:
        case "fake":
            from semel.testing.fake_server import FakeProviderClient  # noqa: PLC0415 - for tests and development

            return FakeProviderClient(url, settings.provider_timeout_seconds)
        case "supabase":
            return await _supabase(settings, given)
        case _:
            return await _keycloak(settings, given, keys)


async def _supabase(settings: Settings, given: Given) -> RemoteProvider:
    try:
        from semel.providers.supabase import open_supabase  # noqa: PLC0415 - its HTTP client may not be installed
    except ModuleNotFoundError:
        raise ConfigurationInvalid("Supabase needs an HTTP client: install semel[supabase]") from None
    try:
        return await open_supabase(settings.supabase_options(), given.clock)
    except ConfigurationInvalid as error:
        raise named(error, SUPABASE_OPTIONS) from None


async def _keycloak(settings: Settings, given: Given, keys: Keys) -> RemoteProvider:
    try:
        from semel.providers.keycloak import open_keycloak  # noqa: PLC0415 - its HTTP client may not be installed
    except ModuleNotFoundError:
        raise ConfigurationInvalid("Keycloak needs an HTTP client: install semel[keycloak]") from None
    try:
        return await open_keycloak(settings.keycloak_options(), keys.secret(Purpose.PROOF), given.clock)
    except ConfigurationInvalid as error:
        raise named(error, KEYCLOAK_OPTIONS) from None


def _sessions(settings: Settings, engine: Engine, keys: Keys) -> SessionKeeper | RemoteSessions | None:
    if engine.embedded is not None:
        return SessionKeeper(engine, keys, settings.session_options())
    if not isinstance(engine.remote, Sessions):
        return None
    return RemoteSessions(engine, engine.remote, allow_special_use=settings.allow_special_use_emails)


def _upkeep(engine: Engine, couriers: Sequence[Courier]) -> tuple[Upkeep, Upkeep]:
    """Return what looks after all but the outbox, and what looks after that."""
    duties = (
        *BUILT_IN,
        Duty("expire_session", SessionFamily, expire),
        Duty("expire_invitation", Invitation, expire_invitation),
        Duty("expire_link", Link, expire_link),
        *_of_unproved(engine),
        Duty("deliver", OutboxEvent, DeliveryDuty(couriers)),
    )
    outbox = tuple(one for one in duties if one.kind is OutboxEvent)
    return (
        Upkeep(engine, tuple(one for one in duties if one not in outbox)),
        Upkeep(engine, outbox, _DELIVERIES, tidies=False),
    )


def _of_unproved(engine: Engine) -> tuple[Duty, ...]:
    """Return the duty that no account is due for where proofs are not required: to ask costs a query a pass."""
    required = engine.options.proving is not None and engine.options.proving.required
    return (Duty("expire_unproved", Account, expire_unproved),) if required else ()


def _couriers(settings: Settings, given: Given, closing: AsyncExitStack) -> list[Courier]:
    options = settings.webhook_options()
    if not options.endpoints:
        return []
    try:
        from semel.couriers.webhooks import Webhooks  # noqa: PLC0415 - its HTTP client may not be installed
    except ModuleNotFoundError:
        raise ConfigurationInvalid(f"{variable('webhooks')} needs an HTTP client: install semel[webhooks]") from None
    webhooks = Webhooks(options, given.clock)
    closing.push_async_callback(webhooks.close)
    return [webhooks]


def _links(settings: Settings, engine: Engine) -> LinkBook:
    if engine.options.proving is None:
        raise ConfigurationInvalid("nothing here makes links")
    return LinkBook(engine, engine.options.proving, allow_special_use=settings.allow_special_use_emails)


def _writers(
    settings: Settings, engine: Engine, books: tuple[InvitationBook, LinkBook], templates: Templates
) -> dict[str, MailWriter]:
    """Return who writes the mails of the outbox, by the kind of event."""
    from semel.invitation_mails import InvitationMails  # noqa: PLC0415 - the template engine may not be installed
    from semel.link_mails import KINDS, LinkMails  # noqa: PLC0415 - likewise

    (invitations, links), leads_to = books, settings.links_lead_to()
    of_links = LinkMails(engine, links, templates, leads_to)
    return {
        INVITATION_MAIL: InvitationMails(engine, invitations, templates, leads_to),
        **dict.fromkeys(KINDS, of_links),
    }


def _mailer(settings: Settings, given: Given, closing: AsyncExitStack) -> Mailer:
    if given.mailer is not None:
        return ObservedMailer(given.mailer, given.events)
    mailer = open_mailer(settings, given.clock)
    closing.push_async_callback(mailer.close)
    return ObservedMailer(mailer, given.events)


def _templates(settings: Settings) -> Templates | None:
    wanted = settings.mail_templates is not None or settings.email_verification
    return open_templates(settings) if wanted or find_spec("jinja2") is not None else None


def open_mailer(settings: Settings, clock: Clock) -> Mailer:
    """Return the way to the mail server; without one, to the local mailbox. Raises ``ConfigurationInvalid``."""
    options = settings.mail_options()
    relay = options.relay
    if relay is None:
        try:
            return LocalMailbox(options, clock)
        except ConfigurationInvalid as error:
            raise named(error, MAIL_OPTIONS) from None
    try:
        from semel.mailers.smtp import SmtpMailer  # noqa: PLC0415 - its SMTP client may not be installed
    except ModuleNotFoundError:
        raise ConfigurationInvalid(f"{variable('smtp_url')} needs an SMTP client: install semel[mail]") from None
    return SmtpMailer(options, relay, clock)


def open_templates(settings: Settings) -> Templates:
    """Return what mails are made of, the operator's own tried. Raises ``ConfigurationInvalid``."""
    try:
        from semel.mails import Templates  # noqa: PLC0415 - the template engine may not be installed
    except ModuleNotFoundError:
        raise ConfigurationInvalid("mails need a template engine: install semel[mail]") from None
    try:
        return Templates(settings.product_name, settings.mail_templates)
    except ConfigurationInvalid as error:
        raise named(error, {"templates": "mail_templates"}) from None
