"""What settings are called: as variables, in URLs, and by the parts that they are for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from semel.errors import ConfigurationInvalid

__all__ = [
    "ARGON2_OPTIONS",
    "ENGINE_OPTIONS",
    "GOTRUE_OPTIONS",
    "KEYCLOAK_OPTIONS",
    "KEY_OPTIONS",
    "POSTGRES",
    "PREFIX",
    "PROVING_OPTIONS",
    "SCHEMES",
    "SESSION_OPTIONS",
    "SUPABASE_OPTIONS",
    "TAKES_OUR_IDS",
    "named",
    "scheme",
    "variable",
]

PREFIX: Final = "SEMEL_"

SCHEMES: Final = {
    "database_url": (
        "sqlite",
        "postgresql",
        "postgresql+asyncpg",
        "postgres",
        "dynamodb",
        "azure-tables",
        "memory",
    ),
    "provider_url": (
        "embedded",
        "supabase+https",
        "supabase+http",
        "keycloak+https",
        "keycloak+http",
        "fake+tcp",
    ),
}
"""What a URL may begin with, the usual ones first."""

POSTGRES: Final = frozenset({"postgresql", "postgresql+asyncpg", "postgres"})
TAKES_OUR_IDS: Final = frozenset({"supabase+https", "supabase+http", "fake+tcp"})
"""The remote providers that have an identity under the very id of its account."""

# What the engine calls its options, and which setting each is.
ENGINE_OPTIONS: Final = {
    "provider_timeout": "provider_timeout_seconds",
    "lease": "lease_seconds",
    "skew": "skew_seconds",
    "wait": "wait_seconds",
    "same_intent_window": "same_intent_seconds",
    "removal_horizon": "removal_horizon_seconds",
    "planted_after": "planted_after_days",
    "completed_kept": "completed_kept_days",
    "failed_kept": "failed_kept_days",
    "events_kept": "events_kept_days",
}
PROVING_OPTIONS: Final = {
    "required": "email_verification",
    "unproved_kept": "unproved_kept_days",
    "proof_lifetime": "verification_link_seconds",
    "recovery_lifetime": "recovery_link_seconds",
    "set_password_lifetime": "set_password_link_days",
}
ARGON2_OPTIONS: Final = {
    "memory_kib": "argon2_memory_kib",
    "time_cost": "argon2_iterations",
    "parallelism": "argon2_parallelism",
    "hash_length": "argon2_hash_length",
    "salt_length": "argon2_salt_length",
    "threads": "argon2_threads",
    "queue": "argon2_queue",
}
KEY_OPTIONS: Final = {"secret_key": "secret_key", "rotate_after": "key_rotation_days"}
SUPABASE_OPTIONS: Final = {
    "url": "provider_url",
    "service_key": "supabase_service_key",
    "anon_key": "supabase_anon_key",
    "timeout": "provider_timeout_seconds",
    "connections": "provider_connections",
    "queue": "provider_queue",
    "confirm_emails": "supabase_confirm_emails",
}
KEYCLOAK_OPTIONS: Final = {
    "url": "provider_url",
    "client_id": "keycloak_client_id",
    "client_secret": "keycloak_client_secret",
    "sign_in_client_id": "keycloak_sign_in_client_id",
    "sign_in_client_secret": "keycloak_sign_in_client_secret",
    "timeout": "provider_timeout_seconds",
    "connections": "provider_connections",
    "queue": "provider_queue",
    "own_usernames": "keycloak_own_usernames",
}
GOTRUE_OPTIONS: Final = {
    "jwt_secret": "gotrue_jwt_secret",
    "algorithm": "gotrue_algorithm",
    "issuer": "gotrue_issuer",
    "disable_signup": "gotrue_disable_signup",
    "email_enabled": "gotrue_email_enabled",
    "autoconfirm": "gotrue_autoconfirm",
    "password_min_length": "gotrue_password_min_length",
    "password_required_characters": "gotrue_password_required_characters",
}
SESSION_OPTIONS: Final = {
    "access_lifetime": "access_token_seconds",
    "lifetime": "session_days",
    "reuse_interval": "refresh_reuse_seconds",
    "per_account": "sessions_per_account",
    "issuer": "token_issuer",
    "audience": "token_audience",
}


def variable(field: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field.upper()


def scheme(url: str) -> str:
    """Return what a URL begins with."""
    # Not urlsplit: it raises over what stands in a password, and its message quotes it.
    return url.partition(":")[0].lower()


def named(error: ConfigurationInvalid, names: Mapping[str, str]) -> ConfigurationInvalid:
    """Say what is wrong with options, by their names, with the names of the variables."""
    rule = re.sub(rf"\b({'|'.join(names)})\b", lambda found: variable(names[found[0]]), error.detail)
    return ConfigurationInvalid(rule)
