"""Templates (Jinja2): for each kind of mail a text, whose first line is the subject, and HTML."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from typing_extensions import override

from semel.errors import ConfigurationInvalid
from semel.mail import MailKind, Rendered
from semel.mails.speech import said_name, said_note

__all__ = ["LINKED", "About", "Templates"]

_BUILT_IN: Final = Path(__file__).parent / "built_in"
_LAYOUT: Final = "layout.html"
_SUBJECT: Final = "Subject: "
_LINK: Final = re.compile(r"https?://[!#-;=?-~]+")
LINKED: Final = frozenset(
    {MailKind.VERIFY_EMAIL, MailKind.RECOVER, MailKind.SET_PASSWORD, MailKind.CHANGE_EMAIL, MailKind.INVITATION}
)
"""The mails that are of no use without a link. All others may have one."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail is about, as its caller knows it. Shows nothing of itself: the link signs people in."""

    link: str | None = None
    """Where the mail leads: an http or https URL."""
    expires_at: datetime | None = None
    """Until when the link is good."""
    name: str | None = None
    """The recipient's, as they wrote it."""
    inviter: str | None = None
    """The name of who invites, as they wrote it."""
    note: str | None = None
    """What the inviter wrote."""

    def __post_init__(self) -> None:
        """Check the link: it goes into an attribute, and into a line of text."""
        if self.link is not None and not _LINK.fullmatch(self.link):
            raise ValueError("a link is an http or https URL, what is reserved percent-encoded")

    @override
    def __repr__(self) -> str:
        """Show that there is something, and nothing of it."""
        return "About(…)"


_FULL: Final = About(
    link="https://example.org/a-link?token=0123456789",
    expires_at=datetime(2030, 1, 31, 12, 30, tzinfo=UTC),
    name="Ada Lovelace",
    inviter="Charles Babbage",
    note="See you on Monday.",
)
_BARE: Final = About(link=_FULL.link)


class Templates:
    """The templates of this release, those in ``directory`` in place of the ones with the same name.

    All of the directory's are tried at once, with and without what a mail may lack, and stay as they were then. Raises
    ``ConfigurationInvalid``, which names file and line.
    """

    def __init__(self, product_name: str = "Semel", directory: Path | None = None) -> None:
        self._product = product_name
        self._jinja = _environment(directory)
        if directory is not None:
            _check_names(directory)
            for kind, about in product(MailKind, (_FULL, _BARE, About())):
                if about.link is not None or kind not in LINKED:
                    self.render(kind, about)

    def render(self, kind: MailKind, about: About) -> Rendered:
        """Return the mail. Raises ``ValueError`` where the kind needs a link, ``ConfigurationInvalid`` as at the start.

        What people wrote is on one line, without control characters, and no longer than a name or a note is. A name
        that could be taken for a link or a telephone number is left out.
        """
        if kind in LINKED and about.link is None:
            raise ValueError(f"a mail of kind {kind} needs a link")
        values = self.values(about)
        head, _, text = self._filled(f"{kind}.txt", values).lstrip().partition("\n")
        if not head.startswith(_SUBJECT) or not head.removeprefix(_SUBJECT).strip():
            raise _broken(f"{kind}.txt", 1, "must begin with a line such as Subject: Welcome")
        subject = " ".join(head.removeprefix(_SUBJECT).split())
        return Rendered(subject, text.strip() + "\n", self._filled(f"{kind}.html", values))

    def values(self, about: About) -> dict[str, Any]:
        """Return what a template can say."""
        moment = about.expires_at
        return {
            "product": self._product,
            "link": about.link or "",
            "expires_at": moment,
            "expires": "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "name": said_name(about.name or ""),
            "inviter": said_name(about.inviter or ""),
            "note": said_note(about.note or ""),
        }

    def _filled(self, file: str, values: Mapping[str, Any]) -> str:
        try:
            return self._jinja.get_template(file).render(values)
        except jinja2.TemplateSyntaxError as error:
            raise _broken(error.name or file, error.lineno, error.message or "is no template") from None
        except jinja2.TemplateNotFound as error:
            raise _broken(*_where(error, file), f"{error.name} is not there") from None
        except jinja2.TemplateError as error:
            raise _broken(*_where(error, file), error.message or type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - what stands in braces may raise anything; its text may be a person's
            raise _broken(*_where(error, file), type(error).__name__) from None


def _environment(directory: Path | None) -> jinja2.Environment:
    places = [_BUILT_IN] if directory is None else [directory, _BUILT_IN]
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(places),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        # What was tried at the start is what people get.
        auto_reload=False,
        cache_size=-1,
        keep_trailing_newline=True,  # of what is included
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _check_names(directory: Path) -> None:
    """Refuse a file that would be without effect, because its name is misspelt."""
    known = {_LAYOUT, *(f"{kind}.{form}" for kind, form in product(MailKind, ("txt", "html")))}
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise ConfigurationInvalid(f"templates: the directory cannot be read ({error.strerror})") from None
    for name in names:
        if name not in known and not name.startswith(("_", ".")):
            rule = "name it after a kind of mail, or begin its name with _ if others include it"
            raise ConfigurationInvalid(f"templates: {name} is no mail's template: {rule}")


def _where(error: Exception, file: str) -> tuple[str, int]:
    """Return the template and the line that raised: Jinja puts them into the trace."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.endswith((".txt", ".html"))]
    return (Path(inside[-1].filename).name, inside[-1].lineno or 1) if inside else (file, 1)


def _broken(file: str, line: int, what: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"templates: {file}, line {line}: {what}")
