"""Replays a scenario against a server of ours, step by step."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from tests.gotrue.comparing import differences
from tests.gotrue.names import Json, Names
from tests.gotrue.recordings import Answer, Scenario, Step
from tests.gotrue.tokens import bad, key, person

SITE: Final = "https://app.example.com"

_KEYS: Final = frozenset({"anon", "service_role", "supabase_admin"})
_FIRST: Final = {"here": 0, "there": 1}
"""Aliases of one person's first and second session."""


class Player:
    """One scenario against one server. ``expected`` says what the real server is taken to have answered to a step.

    ``intervals`` say how long the server's are, by the words that the recording's notes have for them, in seconds.
    """

    def __init__(self, url: str, expected: Callable[[Step], Sequence[Answer]], intervals: Mapping[str, float]) -> None:
        self._url = url
        self._expected = expected
        self._intervals = intervals
        self._names = Names({"<api>": url, "<site>": SITE, "<site:quoted>": quote(SITE, safe="")})
        self._sessions: list[tuple[str, str]] = []
        self._users: list[str] = []
        self._noted = ""

    async def play(self, scenario: Scenario) -> AsyncIterator[tuple[Step, list[str]]]:
        """Yield each step and what differs."""
        limits = httpx.Limits(max_connections=32)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            for step in scenario.steps:
                yield step, await self._step(client, step)

    async def _step(self, client: httpx.AsyncClient, step: Step) -> list[str]:
        missing = self._names.missing([step.path, step.request], step.given)
        bearer = self._bearer(step)
        if missing or bearer is None:
            return [f"not sent, for want of {', '.join(sorted(missing)) or step.auth}"]
        await self._wait(step)
        requests = [self._request(client, step, bearer, place) for place in range(step.at_once)]
        answers = [_answer(reply) for reply in await asyncio.gather(*map(client.send, requests))]
        for each in answers:
            self._remember(each.body)
        recorded = self._expected(step)
        if step.at_once == 1:
            return differences(recorded[0], answers[0], self._names, step.jwts)
        return self._race(recorded, answers, step)

    def _race(self, recorded: Sequence[Answer], answers: Sequence[Answer], step: Step) -> list[str]:
        """Compare who wins with who wins, and who loses with who loses; and the winners' number."""
        found: list[str] = []
        for won, who in ((True, "winner"), (False, "loser")):
            told = [each for each in recorded if (each.status < 300) is won]
            said = [each for each in answers if (each.status < 300) is won]
            if bool(told) != bool(said):
                found.append(f"{who}s {len(told)} → {len(said)}")
            for place, each in enumerate(said if told else []):
                names = self._names if place == 0 else self._names.copy()
                found += [f"{who}: {one}" for one in differences(told[0], each, names, step.jwts)]
        winners = sum(each.status < 300 for each in answers)
        return [*dict.fromkeys(found), *([f"{winners} won"] if winners not in {0, 1, step.at_once} else [])]

    def _bearer(self, step: Step) -> str | None:
        """Return the ``Authorization`` header: empty for none, ``None`` where the session was never given."""
        kind, _, which = step.auth.partition(":")
        if kind == "none":
            return ""
        if kind in _KEYS:
            return f"Bearer {key(kind)}"
        if kind == "bad":
            return bad(which, admin="/admin/" in step.path)
        if kind == "minted":
            return f"Bearer {person(self._users[-1])}"
        mine = [token for name, token in self._sessions if which in _FIRST or name == which]
        place = _FIRST.get(which, -1)
        return f"Bearer {mine[place]}" if len(mine) > max(place, 0) else None

    def _request(self, client: httpx.AsyncClient, step: Step, bearer: str, place: int) -> httpx.Request:
        body, names = step.request, self._names
        if not step.same_body:
            body, names = self._racer(body, place)
        headers = {**({"authorization": bearer} if bearer else {}), **step.headers}
        content = None
        if body is not None:
            headers = {"content-type": "application/json", **headers}
            raw = body.get("raw") if isinstance(body, dict) else None
            content = raw if isinstance(raw, str) else json.dumps(names.filled(body, step.note))
        return client.build_request(
            step.method, self._url + self._names.filled(step.path), headers=headers, content=content
        )

    def _racer(self, body: Json, place: int) -> tuple[Json, Names]:
        """Return the body of another racer: his own email where they are numbered, else ids that stay his own."""
        if body.get("email", "").startswith("n0-"):
            return {**body, "email": body["email"].replace("n0-", f"n{place}-", 1)}, self._names
        own = re.sub(r"\d+(?=>)", lambda number: str(int(number[0]) + place), json.dumps(body))
        return json.loads(own), self._names.copy()

    async def _wait(self, step: Step) -> None:
        """Wait for an interval of the server's to pass, where the note says that it has; once for a pair of steps."""
        noted, self._noted = self._noted, step.note
        if noted != step.note:
            await asyncio.sleep(max((s for words, s in self._intervals.items() if words in step.note), default=0))

    def _remember(self, body: Json) -> None:
        user = body.get("user", body) if isinstance(body, dict) else {}
        if not isinstance(user, dict) or not isinstance(user.get("id"), str):
            return
        self._users.append(user["id"])
        if "access_token" in body:
            self._sessions.append(((user.get("email") or "nobody").partition("@")[0], body["access_token"]))


def _answer(reply: httpx.Response) -> Answer:
    try:
        body: Any = reply.json()
    except ValueError:
        body = reply.text or None
    return Answer(reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, body)
