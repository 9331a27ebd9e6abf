"""A schedule as people read it, and as a few words that lead along it again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from semel.testing.explorer.moves import Choice, Move, State, What
from semel.testing.explorer.runs import How
from semel.testing.explorer.scenarios import Scenario
from semel.testing.explorer.search import Explorer
from semel.testing.explorer.services import CLOCK, Answer, Call
from semel.testing.explorer.worlds import World

__all__ = ["ReplayError", "follow", "spell", "tell"]

_FATES: Final = {
    What.LOST: "it is done, but the answer is lost",
    What.DROPPED: "no answer, and it was not done",
    What.LATE: "no answer, and it is still on its way",
}
_TIME: Final = {What.JUMP: "the clock jumps past every lease", What.LONG: "a long time passes, past every retention"}
_LONG_NAMES: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}")
_WORD: Final = re.compile(r"(?P<who>[^.:]+)(?:\.(?P<slot>\d+))?(?::(?P<what>[a-z-]+))?")


class ReplayError(ValueError):
    """The words lead nowhere: the scenario, the faults or the program are not those that they were made of."""


def spell(scenario: Scenario, choices: Iterable[Choice]) -> str:
    """Return the choices as words: a party's name (or the clock's jump), ``.slot`` unless 0, ``:what`` unless done."""
    names = tuple(scenario.parties)
    return " ".join(_word(names, choice) for choice in choices)


def _word(names: Sequence[str], choice: Choice) -> str:
    if choice.what is What.LANDS:
        return f"@{choice.who}"
    slot = f".{choice.slot}" if choice.slot else ""
    if choice.what in _TIME:
        return f"{choice.what.value}{slot}"
    what = "" if choice.what is What.DONE else f":{choice.what.value}"
    return f"{names[choice.who]}{slot}{what}"


def _choice(names: Sequence[str], word: str) -> Choice:
    if word.startswith("@") and word[1:].isdigit():
        return Choice(int(word[1:]), 0, What.LANDS)
    match = _WORD.fullmatch(word)
    if match is None or match["who"] not in {*names, *_TIME} or match["what"] not in {None, *What}:
        raise ReplayError(f"{word!r} is no move of this scenario")
    slot = int(match["slot"] or 0)
    if match["who"] in set(_TIME):
        return Choice(0, slot, What(match["who"]))
    return Choice(names.index(match["who"]), slot, What(match["what"] or What.DONE))


def follow(explorer: Explorer, words: str) -> tuple[Choice, ...]:
    """Return the choices that the words spell. Raises ``ReplayError`` where one of them is not possible."""
    names = tuple(explorer.scenario.parties)
    choices = tuple(_choice(names, word) for word in words.split())
    for _ in _along(explorer, choices):
        pass
    return choices


def _along(explorer: Explorer, choices: Iterable[Choice]) -> Iterator[tuple[State, Move]]:
    state = explorer.first()
    for number, choice in enumerate(choices, 1):
        move = next((move for move in explorer.moves(state) if move.choice == choice), None)
        if move is None:
            raise ReplayError(f"move {number} is not possible here")
        yield state, move
        state = (move.nodes, move.world)


def tell(explorer: Explorer, choices: Sequence[Choice]) -> tuple[str, ...]:
    """Return the schedule as lines: who did what, what came of it, who was told what; and what the judge says."""
    teller = _Teller(explorer.scenario)
    lines: list[str] = []
    state = explorer.first()
    blames: tuple[str, ...] = ()
    for before, move in _along(explorer, choices):
        lines += teller.lines(before, move)
        state, blames = (move.nodes, move.world), move.blames
    if not blames and all(node.over for node in state[0]):
        if explorer.scenario.rest is not None:
            lines.append("then upkeep runs until it comes to rest")
        blames = explorer.verdict(state)
    lines += [f"✗ {blame}" for blame in blames]
    return _with_short_names(lines)


class _Teller:
    def __init__(self, scenario: Scenario) -> None:
        self._services = tuple(scenario.services.values())
        self._names = tuple(scenario.parties)
        self._width = max(map(len, self._names))

    def lines(self, before: State, move: Move) -> Iterator[str]:
        """Return a line for the move, and one for each caller that was told something by it."""
        nodes, world = before
        who, slot, what = move.choice
        if what in _TIME:
            begin = [name for name, *pair in zip(self._names, nodes, move.nodes, strict=True) if pair[0] is not pair[1]]
            yield f"{_TIME[what]}; {', '.join(begin)} begins only now" if begin else _TIME[what]
            return
        if what is What.LANDS:
            call = world.late[who]
            yield f"what was on its way arrives: {self._request(call)} → {self._answer(call, world.land(call).answer)}"
            return
        yield f"{self._names[who]:{self._width}}  {self._happens(nodes[who].calls[slot], world, what)}"
        outcome = move.nodes[who].outcome
        if outcome is None or outcome.value is None or nodes[who].outcome is not None:
            return
        if outcome.how is How.RETURNED:
            yield f"{self._names[who]:{self._width}}  is told: {outcome.value}"

    def _happens(self, call: Call, world: World, what: What) -> str:
        if what is What.DONE:
            return f"{self._request(call)} → {self._answer(call, world.do(call).answer)}"
        if what in _FATES:
            return f"{self._request(call)} → {_FATES[what]}"
        verb = "crashes" if what in (What.CRASH, What.CRASH_LATE) else "is cancelled: its caller hangs up"
        late = what in (What.CRASH_LATE, What.HANG_UP_LATE)
        return f"{verb}; still on its way: {self._request(call)}" if late else verb

    def _request(self, call: Call) -> str:
        return "sleeps" if call.service == CLOCK else self._services[call.service].tell(call.verb, call.args)

    def _answer(self, call: Call, answer: Answer) -> str:
        if call.service == CLOCK:
            return "and wakes"
        silent = call.effect and answer.error is None and answer.value is None
        return "done" if silent else self._services[call.service].hear(answer)


def _with_short_names(lines: Iterable[str]) -> tuple[str, ...]:
    """Give every long id a number, in the order in which they appear."""
    seen: dict[str, str] = {}
    return tuple(_LONG_NAMES.sub(lambda found: seen.setdefault(found[0], f"#{len(seen) + 1}"), line) for line in lines)
