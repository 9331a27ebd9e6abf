"""The one canonicaliser: however a value is typed, it comes to one canonical form, which is the identifier's key.

Each function returns the canonical form and the one shown to people, or raises ``InvalidInput``. Spaces around a
value are trimmed, since keyboards and the clipboard add them. Refused are control characters (NUL among
them), lone surrogates, unassigned characters, and whatever cannot be seen or turns the text's direction. A message
names the remedy and never the value. All are idempotent: canonical and shown form both come to the same canonical
form again.

``VERSION`` is kept beside each identifier. It is raised when a value may come to another canonical form than before.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import email_validator
import msgspec
import phonenumbers
from precis_i18n import get_profile
from precis_i18n.context import context_rule_error
from precis_i18n.unicode import UnicodeData

from semel.errors import FieldError, InvalidInput
from semel.model import Name

__all__ = [
    "USERNAME_LENGTH",
    "VERSION",
    "Canonical",
    "attributes",
    "email",
    "email_by_library",
    "email_if_plain",
    "federated",
    "phone",
    "text",
    "username",
    "username_by_library",
    "username_if_plain",
]

VERSION: Final = 1

USERNAME_LENGTH: Final = range(2, 65)
"""How long a username may be, in characters."""

_EMAIL_LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3: a path of 256 octets, less its angle brackets
_PHONE_LONGEST: Final = 40  # 15 digits (E.164) and how people part them
_FEDERATED_LONGEST: Final = 255  # OpenID Connect Core 1.0, section 2, of the subject
_DEEPEST: Final = 16
_INTEGERS: Final = range(-(2**63), 2**63)

_UNICODE: Final = UnicodeData()
_UNFIT: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
_BRAILLE_BLANK: Final = "\u2800"  # a symbol by its category, and nothing to be seen
_NOT_IN_JSON: Final = re.compile("[\0\ud800-\udfff]")

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_EMAIL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}(?<=[A-Za-z])")
_SPECIAL_USE: Final = frozenset(email_validator.SPECIAL_USE_DOMAIN_NAMES)
_PLAIN_USERNAME: Final = re.compile(rf"[!-?A-~]{{{USERNAME_LENGTH.start},{USERNAME_LENGTH.stop - 1}}}")
_CASE_MAPPED: Final = get_profile("UsernameCaseMapped")
_CASE_PRESERVED: Final = get_profile("UsernameCasePreserved")
_PHONE: Final = re.compile(r"\+[\d ().\-/\u2010-\u2015]+")
_ISSUER: Final = re.compile(rf"https?://[!-~]{{1,{_FEDERATED_LONGEST - 8}}}")
_SUBJECT: Final = re.compile(rf"[ -~]{{1,{_FEDERATED_LONGEST}}}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Canonical(msgspec.Struct, frozen=True):
    """A value in its two forms: the identifier's name, and what people are shown."""

    name: Name
    shown: str


def email(value: str, *, allow_special_use: bool = False) -> Canonical:
    """Canonicalise an email address; no DNS is asked.

    The local part comes to NFKC, case-folded; the domain to its A-labels (IDNA 2008, UTS 46), lower case. Quoted
    local parts and address literals are refused; so are special-use domains (RFC 6761: ``localhost``, ``.test``, …)
    unless allowed. The example domains are not among those, as RFC 6761 asks. Raises ``InvalidInput``.
    """
    return email_if_plain(value) or email_by_library(value, allow_special_use=allow_special_use)


def email_if_plain(value: str) -> Canonical | None:
    """Canonicalise an address that is plain ASCII and clearly right; ``None`` leaves it to the library."""
    typed = value.strip(" ")
    if len(typed) > _EMAIL_LONGEST or not _PLAIN_EMAIL.fullmatch(typed):
        return None
    lower = typed.lower()
    if lower.rpartition(".")[2] in _SPECIAL_USE:
        return None
    at = lower.index("@")
    return Canonical(Name("email", lower), typed[:at] + lower[at:])


def email_by_library(value: str, *, allow_special_use: bool = False) -> Canonical:
    """Canonicalise any address by email-validator, as ``email`` says. Raises ``InvalidInput``."""
    typed = _clean("email", value, _EMAIL_LONGEST)
    domain, domain_shown = _domain(typed, allow_special_use=allow_special_use)
    local = typed.rpartition("@")[0]
    canonical = f"{_folded(local)}@{domain}"
    _domain(canonical, allow_special_use=allow_special_use)  # folding may have made something else of it
    return Canonical(Name("email", canonical), f"{local}@{domain_shown}")


def _domain(address: str, *, allow_special_use: bool) -> tuple[str, str]:
    """Return the domain of a valid address: in A-labels, and as shown."""
    special = address.lower().rpartition("@")[2].rpartition(".")[2] in _SPECIAL_USE
    # The library has no switch that lets these domains through, so it is shown a subdomain of one that it takes.
    suffix = ".example" if special else ""
    try:
        found = email_validator.validate_email(address + suffix, check_deliverability=False)
    except email_validator.EmailNotValidError:
        # The library's message would carry what was typed; so would the cause of ours.
        raise _invalid("email", "malformed", "Give an email address such as name@example.org") from None
    if special and not allow_special_use:
        raise _invalid("email", "special_use_domain", "Give an email address whose domain can receive mail")
    return found.ascii_domain.removesuffix(suffix), found.domain.removesuffix(suffix)


def username(value: str) -> Canonical:
    """Canonicalise a username by PRECIS UsernameCaseMapped (RFC 8265): 2 to 64 characters, no spaces, never an ``@``.

    So a username can be offered where an email can, and not be taken for one. Raises ``InvalidInput``.
    """
    return username_if_plain(value) or username_by_library(value)


def username_if_plain(value: str) -> Canonical | None:
    """Canonicalise a username that is plain ASCII and clearly right; ``None`` leaves it to the library."""
    typed = value.strip(" ")
    return Canonical(Name("username", typed.lower()), typed) if _PLAIN_USERNAME.fullmatch(typed) else None


def username_by_library(value: str) -> Canonical:
    """Canonicalise any username by precis-i18n, as ``username`` says. Raises ``InvalidInput``."""
    typed = _clean("username", value, USERNAME_LENGTH.stop - 1)
    try:
        canonical, shown = _CASE_MAPPED.enforce(typed), _CASE_PRESERVED.enforce(typed)
    except UnicodeEncodeError:
        # Its message would carry what was typed; so would the cause of ours.
        raise _invalid("username", "malformed", "Use letters, digits and punctuation, without spaces") from None
    if "@" in canonical:
        raise _invalid("username", "malformed", "Leave out the @: with it the username reads as an email")
    if len(canonical) not in USERNAME_LENGTH:
        bounds = f"{USERNAME_LENGTH.start} to {USERNAME_LENGTH.stop - 1}"
        raise _invalid("username", "bad_length", f"Choose a username of {bounds} characters")
    return Canonical(Name("username", canonical), shown)


def phone(value: str) -> Canonical:
    """Canonicalise a phone number to E.164. It must begin with ``+`` and a country's code. Raises ``InvalidInput``."""
    typed = unicodedata.normalize("NFKC", _clean("phone", value, _PHONE_LONGEST))
    number = _phone_number(typed) if _PHONE.fullmatch(typed) else None
    if number is None or not phonenumbers.is_valid_number(number):
        message = "Give the number with + and its country's code, such as +44 20 7946 0958"
        raise _invalid("phone", "malformed", message)
    canonical = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Canonical(Name("phone", canonical), canonical)


def _phone_number(typed: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(typed)
    except phonenumbers.NumberParseException:
        return None


def federated(issuer: str, subject: str) -> Canonical:
    """Name somebody by issuer and subject, both kept to the letter: an issuer's spelling is its identity.

    The issuer is an https URL without query and fragment (OpenID Connect Discovery 1.0), or an http one of this
    machine, for development. No URL has a space, so a space joins the two unambiguously. Raises ``InvalidInput``.
    """
    if not _is_issuer(issuer):
        raise _invalid("issuer", "malformed", "Give the issuer's https URL, without query and fragment")
    if not _SUBJECT.fullmatch(subject):
        raise _invalid("subject", "malformed", f"Give 1 to {_FEDERATED_LONGEST} printable ASCII characters")
    joined = f"{issuer} {subject}"
    return Canonical(Name("federated", joined), joined)


def _is_issuer(issuer: str) -> bool:
    if not _ISSUER.fullmatch(issuer):
        return False
    try:
        url = urlsplit(issuer)
        _ = url.port  # raises where it is no port
    except ValueError:
        return False
    plain = bool(url.hostname) and "@" not in url.netloc and not set("?#\\") & set(issuer)
    return plain and (url.scheme == "https" or url.hostname in _LOOPBACK)


def text(field: str, value: str, max_length: int) -> str:
    """Return one line of text in NFC, of 1 to ``max_length`` characters. Raises ``InvalidInput`` for ``field``.

    Nobody is found by it, so the joiners that Persian, Sinhala and others are written with may stand where they shape
    what is seen (RFC 5892, appendices A.1 and A.2).
    """
    return _clean(field, value, max_length, joiners=True)


def attributes(value: Mapping[str, Any], max_bytes: int) -> str:
    """Return the JSON text (RFC 8259) of an object: at most ``max_bytes`` bytes, 16 levels. Raises ``InvalidInput``.

    Refused are whatever JSON cannot say (NaN, infinities, lone surrogates), integers beyond 64 bits, and NUL, which
    not every store keeps.
    """
    root = dict(value)
    too_long = f"Send at most {max_bytes} bytes of JSON"
    ahead: list[tuple[object, int]] = [(root, 1)]
    seen = 0
    while ahead:
        node, depth = ahead.pop()
        inner = _inside(node)
        if inner and depth > _DEEPEST:
            raise _invalid("attributes", "too_deep", f"Nest at most {_DEEPEST} levels")
        ahead += [(one, depth + 1) for one in inner]
        seen += 1
        if seen > max_bytes:  # each takes a byte at least; so shared values, which would unfold without end, end here
            raise _invalid("attributes", "too_long", too_long)
    encoded = msgspec.json.encode(root)
    if len(encoded) > max_bytes:
        raise _invalid("attributes", "too_long", too_long)
    return encoded.decode()


def _inside(node: object) -> list[object]:
    """Return what a JSON value holds. Raises ``InvalidInput`` where it is no JSON value."""
    match node:
        case dict() if all(isinstance(key, str) for key in node):
            return [*node.keys(), *node.values()]
        case list() | tuple():
            return list(node)
        case None | bool():
            return []
        case str() if not _NOT_IN_JSON.search(node):
            return []
        case int() if node in _INTEGERS:
            return []
        case float() if math.isfinite(node):
            return []
        case _:
            raise _invalid("attributes", "malformed", "Send JSON: finite numbers of 64 bits, text without NUL")


def _clean(field: str, value: str, longest: int, *, joiners: bool = False) -> str:
    """Return the value in NFC and trimmed. Raises ``InvalidInput`` where it is empty, too long, or hides something."""
    typed = _UNICODE.map_nonascii_space_to_ascii(value).strip(" ")
    if not typed:
        raise _invalid(field, "required", "Give a value")
    if len(typed) <= 4 * longest:  # what is huge may take quadratic time; no character decomposes into more than four
        typed = unicodedata.normalize("NFC", typed)
    if len(typed) > longest:
        raise _invalid(field, "too_long", f"Give at most {longest} characters")
    if _hides(_without_joiners(typed) if joiners else typed):
        message = "Leave out characters that cannot be seen, control the text or turn its direction"
        raise _invalid(field, "hidden_character", message)
    return typed


def _without_joiners(typed: str) -> str:
    """Leave out the joiners that stand where they shape what is seen."""
    if typed.isascii():
        return typed
    return "".join(
        character
        for at, character in enumerate(typed)
        if character not in _JOINERS or context_rule_error(typed, at, _UNICODE)
    )


def _hides(typed: str) -> bool:
    """Tell whether a text holds more than can be seen. A combining mark at its start joins what stands before it."""
    if typed.isascii():
        return not typed.isprintable()
    return unicodedata.category(typed[0]).startswith("M") or any(map(_unseen, typed))


def _unseen(character: str) -> bool:
    return (
        unicodedata.category(character) in _UNFIT
        or _UNICODE.default_ignorable(ord(character))
        or character == _BRAILLE_BLANK
    )


def _folded(typed: str) -> str:
    """Return NFKC of the case-folded text, repeated until it stays: either can undo the other's work."""
    folded = unicodedata.normalize("NFKC", typed.casefold())
    return folded if folded == typed else _folded(folded)


def _invalid(field: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(errors=(FieldError(field, code, message),))
