"""What Supabase Auth takes for an email, a password, a hash and a duration."""

from __future__ import annotations

import base64
import re
from http import HTTPStatus
from typing import Final, NamedTuple

from semel import canonical
from semel.canonical import Canonical
from semel.errors import InvalidInput
from semel.gotrue_tokens import GoTrueOptions
from semel.http.gotrue.answers import AuthError, invalid

__all__ = ["Weakness", "ban_seconds", "check_hash", "check_password", "full_name", "new_email", "weakness"]

_EMAIL: Final = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*",
    re.ASCII,
)
"""The pattern of the HTML standard, as the server has it."""
_EMAIL_LONGEST: Final = 255
_PASSWORD_LONGEST: Final = 72
"""In bytes: all that bcrypt, which the server hashes with, looks at."""
_NAME_LONGEST: Final = 200

_HASH: Final = re.compile(
    r"\$argon2(?:i|id)\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,172})",
    re.ASCII,
)
_HASH_BOUNDS: Final = (262_144, 16, 16)
"""The memory in KiB, the passes and the lanes that a hash of the caller's may cost at each sign-in."""

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(h|ms|m|s|us|µs|μs|ns)", re.ASCII)
_LONGEST_BAN: Final = 290 * 365 * 86_400.0
"""In seconds: as far as the server's own durations reach."""


class Weakness(NamedTuple):
    """Why a password is weak."""

    message: str
    reasons: tuple[str, ...]


def new_email(text: str, *, allow_special_use: bool) -> Canonical:
    """Return an email as it is shown (in lower case) and compared. Raises ``AuthError``."""
    if len(text) > _EMAIL_LONGEST:
        raise invalid("An email address is too long")
    if not _EMAIL.fullmatch(text):
        raise _malformed()
    try:
        return canonical.email(text.lower(), allow_special_use=allow_special_use)
    except InvalidInput:
        raise _malformed() from None


def _malformed() -> AuthError:
    return invalid("Unable to validate email address: invalid format")


def weakness(password: str, options: GoTrueOptions) -> Weakness | None:
    """Return why a password is weak, ``None`` for one that is not."""
    faults: dict[str, str] = {}
    # In bytes, whatever the text says: so does the server, here as with the longest (Go's len, in its password.go).
    if len(password.encode("utf-8", "surrogatepass")) < options.password_min_length:
        faults["length"] = f"Password should be at least {options.password_min_length} characters."
    sets = [one for one in options.password_required_characters.split(":") if one]
    if not all(set(one) & set(password) for one in sets):
        faults["characters"] = f"Password should contain at least one character of each: {', '.join(sets)}."
    return Weakness(" ".join(faults.values()), tuple(faults)) if faults else None


def check_password(password: str, options: GoTrueOptions, *, strength: bool = True) -> None:
    """Raise ``AuthError`` for a password that is too long or, where that is asked, weak."""
    if len(password.encode("utf-8", "surrogatepass")) > _PASSWORD_LONGEST:
        raise invalid(f"Password cannot be longer than {_PASSWORD_LONGEST} characters")
    weak = weakness(password, options) if strength else None
    if weak is not None:
        raise AuthError(HTTPStatus.UNPROCESSABLE_ENTITY, "weak_password", *weak)


def check_hash(digest: str) -> None:
    """Raise ``AuthError`` unless the embedded provider can verify this hash, at a bounded cost."""
    found = _HASH.fullmatch(digest)
    *given, salt, tag = found.groups() if found else ("", "")
    costs = tuple(map(int, given))
    within = all(0 < cost <= bound for cost, bound in zip(costs, _HASH_BOUNDS, strict=False))
    whole = _is_base64(salt) and _is_base64(tag)
    if not costs or not within or not whole or costs[0] < 8 * costs[2]:  # RFC 9106, 3.1
        raise invalid("password_hash must be a hash of Argon2id or Argon2i, of the usual cost")


def _is_base64(text: str) -> bool:
    """Tell whether it is base64 as its encoder writes it: one that was cut short is verified by nobody."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return base64.b64encode(raw).decode().rstrip("=") == text


def ban_seconds(duration: str) -> float | None:
    """Return the seconds of a duration such as ``24h`` or ``1h30m``; ``None`` for ``none``. Raises ``AuthError``."""
    if duration == "none":
        return None
    sign = -1.0 if duration.startswith("-") else 1.0
    text = duration.removeprefix("-") if sign < 0 else duration.removeprefix("+")
    parts = _PART.findall(text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    whole = "".join(number + unit for number, unit in parts) == text
    if text != "0" and (not parts or not whole or seconds > _LONGEST_BAN):
        raise invalid("invalid format for ban duration: give a duration such as 24h, or none")
    return sign * seconds


def full_name(metadata: dict[str, object]) -> str | None:
    """Return the name that the metadata give, where an account can have it."""
    given = metadata.get("full_name", metadata.get("name"))
    try:
        return canonical.text("full_name", given, _NAME_LONGEST) if isinstance(given, str) else None
    except InvalidInput:
        return None
