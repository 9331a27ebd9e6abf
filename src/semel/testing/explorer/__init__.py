"""Runs real coroutines under every interleaving, crash, lost answer and late effect, and says which schedule breaks.

A *party* is a coroutine over ports of its own; parties share nothing but *services*, doubles that answer at once. A
*scenario* names parties, services, what may go wrong and, by a *judge*, what must never be. ``explore`` runs it::

    scenario = Scenario(name=…, about=…, parties={"A": …, "B": …}, services={"store": StoreService()}, judge=…)
    report = explore(scenario, faults=1)
    assert report.exhausted, report.story

Everything that can happen, happens: at each request of a party any other may go first; a request with an effect may be
done and its answer lost, be lost itself, or be done at any later point; a party may crash, its caller may hang up, and
the clock may jump past a lease while it sleeps. How many such faults one run has is bounded, nothing else is.

Two schedules that give each party the same answers, and leave the same world and the same faults to come, are one
state, looked at once: a party is a deterministic program, so it cannot tell them apart.
"""

from semel.testing.explorer.doubles import CourierService, ProviderService, StoreService
from semel.testing.explorer.entities import EntitiesService
from semel.testing.explorer.pool import Job, explore_all, scenarios_of
from semel.testing.explorer.report import Report, explore, replay
from semel.testing.explorer.runs import How, Make, Outcome, Ports
from semel.testing.explorer.scenarios import Ending, Judge, Rest, Scenario
from semel.testing.explorer.services import Answer, Call, Service
from semel.testing.explorer.story import ReplayError
from semel.testing.explorer.worlds import Change

__all__ = [
    "Answer",
    "Call",
    "Change",
    "CourierService",
    "Ending",
    "EntitiesService",
    "How",
    "Job",
    "Judge",
    "Make",
    "Outcome",
    "Ports",
    "ProviderService",
    "ReplayError",
    "Report",
    "Rest",
    "Scenario",
    "Service",
    "StoreService",
    "explore",
    "explore_all",
    "replay",
    "scenarios_of",
]
