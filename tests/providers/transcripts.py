"""Recorded exchanges with a real Supabase Auth server, made concrete: one of the adapter's operations each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5

from typing_extensions import override

from tests.providers.gotrue import NOW
from tests.providers.web import Reply

SHIPPED: Final = Path(__file__).parent / "gotrue-transcripts.jsonl"
RECORDED: Final = Path(os.environ.get("SEMEL_TEST_TRANSCRIPTS", SHIPPED))

_PLACEHOLDER: Final = re.compile(r"<([a-z-]+)(?::(\w+))?>")
_GRANTS: Final = {"password": "sign_in", "refresh_token": "refresh"}
_ONE_USER: Final = {"GET": "find", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True)
class Exchange:
    """An operation's request and one answer to it; ``there`` are the users that the server had by then."""

    scenario: str
    step: int
    place: int
    """Among the distinct answers of a race."""
    operation: str
    asked: Mapping[str, Any]
    """The fields of the body, and of the query; ``id`` is the user's of the path."""
    reply: Reply
    there: tuple[Mapping[str, Any], ...]

    @property
    def code(self) -> str | None:
        """The error code, wherever this version of the API has it."""
        body = self.reply.body if isinstance(self.reply.body, dict) else {}
        named = self.reply.headers.get("x-sb-error-code") or body.get("error_code") or body.get("code")
        return named if self.reply.status >= 400 and isinstance(named, str) else None

    @property
    def user(self) -> Mapping[str, Any]:
        """The user that the answer tells of."""
        body = self.reply.body if isinstance(self.reply.body, dict) else {}
        found: Mapping[str, Any] = body.get("user", body)
        return found

    @override
    def __str__(self) -> str:
        return f"{self.scenario}/{self.step}" + (f"/{self.place}" if self.place else "")


def exchanges() -> Iterator[Exchange]:
    """Yield those of the endpoints that the adapter uses, in order."""
    there: dict[str, Mapping[str, Any]] = {}
    scenario = ""
    for line in RECORDED.read_text().splitlines():
        recorded = json.loads(line)
        operation = _operation(recorded) if "scenario" in recorded else None
        if operation is None:
            continue
        if recorded["scenario"] != scenario:
            scenario, there = recorded["scenario"], {}
        replies = [_reply(answer, scenario) for answer in recorded.get("outcomes", [recorded])]
        for reply in replies if "outcomes" in recorded else []:
            _note(there, operation, reply, {})
        asked = _asked(recorded, scenario)
        for place, reply in enumerate(replies):
            yield Exchange(scenario, recorded["step"], place, operation, asked, reply, tuple(there.values()))
            _note(there, operation, reply, asked)


def _operation(recorded: Mapping[str, Any]) -> str | None:
    method, url = recorded["method"], urlsplit(recorded["path"])
    query = dict(parse_qsl(url.query))
    if url.path.rstrip("/") == "/admin/users":
        listing = "find_by_email" if "filter" in query else "page"
        return {"POST": "create", "GET": listing}.get(method)
    if re.fullmatch("/admin/users/[^/]+", url.path):
        return _ONE_USER.get(method)
    if method == "POST" and url.path == "/token":
        return _GRANTS.get(query.get("grant_type", ""))
    return "sign_out" if (method, url.path) == ("POST", "/logout") else None


def _asked(recorded: Mapping[str, Any], scenario: str) -> dict[str, Any]:
    url = urlsplit(recorded["path"])
    body = recorded["request"]
    fields = {} if not isinstance(body, dict) or "raw" in body else body
    one = re.fullmatch("/admin/users/([^/]+)", url.path)
    named = {"id": one[1]} if one else {}
    found: dict[str, Any] = _concrete({**dict(parse_qsl(url.query)), **fields, **named}, scenario)
    return found


def _reply(answer: Mapping[str, Any], scenario: str) -> Reply:
    return Reply(answer["status"], _concrete(answer["response"], scenario), answer["response_headers"])


def _note(there: dict[str, Mapping[str, Any]], operation: str, reply: Reply, asked: Mapping[str, Any]) -> None:
    """Keep up with what the server has."""
    if reply.status != 200:
        return
    if operation == "delete":
        there.pop(asked["id"], None) if not asked.get("should_soft_delete") else None
    elif operation in {"create", "find", "update"}:
        there[reply.body["id"]] = reply.body


def _concrete(value: Any, scenario: str) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {name: _concrete(each, scenario) for name, each in value.items()}
    if isinstance(value, list):
        return [_concrete(each, scenario) for each in value]
    return _PLACEHOLDER.sub(lambda found: _stands_for(found, scenario), value) if isinstance(value, str) else value


def _stands_for(found: re.Match[str], scenario: str) -> str:
    kind, number = found.groups()
    if kind == "time":
        return NOW
    if number == "nil":
        return str(UUID(int=0))
    if kind in {"user", "uuid", "identity", "session"}:
        return str(uuid5(NAMESPACE_OID, f"{scenario} {found[0]}"))
    return f"{kind}-{number}"
