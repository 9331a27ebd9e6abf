"""The store contract is itself tested: each wrong store breaks the promise that it should."""

import pytest

from semel.errors import StoreUnavailable
from semel.stores.memory import MemoryStore
from semel.testing.store_contract import (
    RELATIONAL_CONTRACT,
    BrokenPromiseError,
    Promise,
    StoreBench,
    processes_that_cross_lose_nothing,
    races,
    reads,
    relations,
    upkeep,
    writes,
)
from tests.testing import commit_mutants, read_mutants

MUTANTS: list[tuple[type[MemoryStore], Promise]] = [
    (commit_mutants.OverwritesOnInsert, writes.an_insert_of_a_key_that_exists_is_refused),
    (commit_mutants.OverwritesOnInsert, races.of_fifty_inserts_of_the_same_keys_one_wins),
    (commit_mutants.SkipsTheVersionCheck, writes.a_replace_of_another_version_is_refused),
    (commit_mutants.SkipsTheVersionCheck, races.of_fifty_replaces_of_a_version_one_wins),
    (commit_mutants.SkipsTheVersionCheck, races.no_update_is_lost),
    (commit_mutants.SkipsTheVersionCheckOfDeletes, writes.a_delete_of_another_version_is_refused),
    (commit_mutants.SkipsTheVersionCheckOfDeletes, races.of_replaces_and_deletes_of_a_version_one_wins),
    (commit_mutants.TakesEveryVersionThatWas, writes.a_key_inserted_again_never_matches_an_old_version),
    (commit_mutants.CountsVersions, writes.a_written_record_has_the_commits_token_as_its_version),
    (commit_mutants.InsertsWhatIsReplaced, writes.what_is_absent_can_neither_be_replaced_nor_deleted),
    (commit_mutants.InsertsOnlyTheNew, writes.an_insert_looks_at_no_version),
    (commit_mutants.UpdatesInPlace, writes.what_the_caller_gave_or_read_stays_as_it_was),
    (commit_mutants.StampsTheCallersRecord, writes.what_the_caller_gave_or_read_stays_as_it_was),
    (commit_mutants.KeepsTheCallersList, writes.what_the_caller_gave_or_read_stays_as_it_was),
    (commit_mutants.CommitsInPart, writes.a_refused_commit_changes_nothing),
    (commit_mutants.NamesNoRefusedWrite, writes.a_refusal_names_only_refused_writes_and_at_least_one),
    (commit_mutants.NamesTheSortedPlace, writes.a_refusal_names_the_write_by_its_place_in_the_callers_order),
    (commit_mutants.NamesEveryWrite, writes.a_refusal_names_only_refused_writes_and_at_least_one),
    (commit_mutants.LetsTheLastOfAKeyWin, writes.a_key_named_twice_is_an_error_of_the_program),
    (commit_mutants.TakesTwentyFiveWrites, writes.a_commit_may_hold_fifty_writes),
    (commit_mutants.BreaksAfterManyRefusals, writes.a_refusal_leaves_the_store_working),
    (read_mutants.TrimsText, reads.text_comes_back_to_the_letter),
    (read_mutants.TrimsText, reads.every_field_of_every_record_comes_back_as_it_was),
    (read_mutants.CutsToSeconds, reads.every_field_of_every_record_comes_back_as_it_was),
    (read_mutants.FormatsJson, reads.every_field_of_every_record_comes_back_as_it_was),
    (read_mutants.GivesPlainTuples, reads.every_field_of_every_record_comes_back_as_it_was),
    (read_mutants.ForgetsADoor, reads.every_state_and_door_comes_back),
    (read_mutants.FoldsKeys, reads.keys_are_told_apart_to_the_letter),
    (read_mutants.RunsKeysTogether, reads.keys_are_told_apart_to_the_letter),
    (read_mutants.CutsKeys, reads.a_key_may_be_long),
    (read_mutants.MakesUpRecords, reads.what_was_never_written_is_none),
    (read_mutants.IgnoresTheType, reads.types_with_one_key_are_records_apart),
    (read_mutants.AnswersInItsOwnOrder, reads.get_many_answers_in_the_order_asked),
    (read_mutants.FindsAllDue, upkeep.what_is_due_is_found),
    (read_mutants.MissesTheMoment, upkeep.what_is_due_is_found),
    (read_mutants.IgnoresTheLimit, upkeep.no_more_is_due_than_asked_for),
    (read_mutants.KeepsOldDueTimes, upkeep.due_follows_the_record),
    (read_mutants.LosesTheLastPage, upkeep.pages_meet_each_record_exactly_once),
    (read_mutants.RepeatsTheLastOfAPage, upkeep.pages_meet_each_record_exactly_once),
    (read_mutants.PagesByTheFirstPart, upkeep.pages_give_records_as_get_does),
    (read_mutants.PagesByNumber, upkeep.pages_survive_changes_on_the_way),
    (read_mutants.TellsLocalTime, upkeep.the_time_is_aware_and_in_utc),
    (read_mutants.ClosesOnce, upkeep.closing_twice_is_harmless),
    (commit_mutants.DeadlocksWhenCrossed, races.of_fifty_inserts_of_the_same_keys_one_wins),
    (commit_mutants.DeadlocksWhenCrossed, races.of_fifty_replaces_of_a_version_one_wins),
    (commit_mutants.DeadlocksWhenCrossed, races.crossing_commits_all_end),
    (commit_mutants.ChecksThenActs, races.no_update_is_lost),
    (commit_mutants.ChecksThenActs, races.crossing_commits_all_end),
    (commit_mutants.RefusesForNoReason, races.no_update_is_lost),
    (commit_mutants.ShowsWhatIsNotCommitted, races.what_is_refused_was_never_seen),
    (commit_mutants.WritesOneByOne, races.what_one_commit_writes_is_seen_together),
    (commit_mutants.WritesOneByOne, races.a_cancelled_commit_is_whole_or_nothing),
]

NO_COLLISION = relations.accounts_without_email_or_username_do_not_collide


@pytest.mark.parametrize(("mutant", "promise"), MUTANTS)
async def test_a_mutant_breaks_the_promise(mutant: type[MemoryStore], promise: Promise) -> None:
    """The promise fails on the mutant, by what the contract sees or by an error that no store may raise there."""
    store = mutant()
    with pytest.raises((BrokenPromiseError, StoreUnavailable)):
        await promise(StoreBench(store, store, lag=0))


async def test_another_handle_with_a_cache_breaks_the_promise() -> None:
    """A second handle that gives what it once read is seen."""
    store = MemoryStore()
    with pytest.raises(BrokenPromiseError):
        await reads.a_commit_is_seen_at_once_on_every_handle(StoreBench(store, read_mutants.CachesReads(store)))


@pytest.mark.parametrize("promise", [each for each in RELATIONAL_CONTRACT if each is not NO_COLLISION])
async def test_a_store_without_constraints_keeps_no_relational_promise(promise: Promise) -> None:
    """The memory store has neither unique columns nor references: each promise of them fails on it."""
    store = MemoryStore()
    with pytest.raises(BrokenPromiseError):
        await promise(StoreBench(store, store))


async def open_a_memory_of_its_own() -> MemoryStore:
    """Open a store that shares nothing."""
    return MemoryStore()


async def test_processes_that_share_nothing_break_the_promise() -> None:
    """What one process wrote the others must find."""
    store = MemoryStore()
    with pytest.raises(BrokenPromiseError):
        await processes_that_cross_lose_nothing(StoreBench(store, store), open_a_memory_of_its_own, processes=2)


def test_every_promise_has_a_mutant() -> None:
    """No promise of the contract is one that nothing could break."""
    broken = {promise for _, promise in MUTANTS} | {reads.a_commit_is_seen_at_once_on_every_handle}
    assert {*writes.WRITES, *reads.READS, *upkeep.UPKEEP, *races.RACES} == broken
