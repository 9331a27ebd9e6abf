"""Commands about the outbox: what waits to be delivered, what was given up, and sending that again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from semel.cli.opened import ask
from semel.cli.output import AsJson, print_json, print_lines, print_table
from semel.model import OutboxEvent
from semel.states import EventState

__all__ = ["outbox"]

outbox = typer.Typer(no_args_is_help=True, help="Events that are delivered: webhooks and mails.")


@outbox.command("list")
def listed(
    *,
    state: Annotated[EventState | None, typer.Option(help="Only those of this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to show.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List events, the oldest first. It reads all that are kept."""
    shown = [_event(one) for one in ask(lambda semel: semel.outbox(state, limit))]
    if as_json:
        print_json(shown)
        return
    columns = ("kind", "state", "attempts", "created_at", "due_at", "failure", "id")
    rows = [tuple(one[column] for column in columns) for one in shown]
    print_table(("Kind", "State", "Attempts", "Since", "Due", "Failure", "Id"), rows, "There are no such events.")


@outbox.command()
def replay(
    event_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="As the list has it.")] = None,
    *,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="All that were given up.")] = False,
    as_json: AsJson = False,
) -> None:
    """Deliver what was given up anew, to all who do not have it. Upkeep sends it at its next pass."""
    if (event_id is None) is not all_dead:
        raise typer.BadParameter("name an event, or say --all-dead", param_hint="ID")
    if event_id is None:
        count = ask(lambda semel: semel.replay_dead_events())
    else:
        ask(lambda semel: semel.replay_event(event_id))
        count = 1
    if as_json:
        print_json({"replayed": count})
    else:
        print_lines("1 event waits to be delivered." if count == 1 else f"{count} events wait to be delivered.")


def _event(event: OutboxEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "delivery_id": event.delivery_id,
        "kind": event.kind,
        "account_id": event.account_id or None,
        "subject": event.subject,
        "state": event.state,
        "attempts": event.attempts,
        "delivered": event.delivered,
        "refused": event.refused,
        "failure": event.failure,
        "created_at": event.created_at,
        "due_at": event.due_at,
    }
