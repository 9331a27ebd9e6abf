"""The provider contract is itself tested: each wrong provider breaks the promise that it should."""

import pytest

from semel.testing import BrokenPromiseError, FakeProvider
from semel.testing import provider_contract as contract
from semel.testing import sessions_contract as sessions
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT
from tests.testing import provider_mutants as mutants

MUTANTS: list[tuple[type[FakeProvider], ProviderPromise]] = [
    (mutants.ForgetsThePassword, contract.an_identity_is_made_whole),
    (mutants.ConfirmsEveryone, contract.an_identity_is_made_unconfirmed_where_asked),
    (mutants.MakesItAnew, contract.the_time_of_its_making_stays),
    (mutants.NamesAnotherId, contract.done_names_the_providers_id),
    (mutants.AnswersDoneAgain, contract.the_same_create_again_makes_no_second),
    (mutants.AnswersDoneAgain, contract.racing_creates_of_one_identity_make_one),
    (mutants.OverwritesThePassword, contract.the_same_create_again_makes_no_second),
    (mutants.TakesAnEmailTwice, contract.a_taken_email_is_answered_exists),
    (mutants.TakesAnEmailTwice, contract.racing_creates_with_one_email_make_one),
    (mutants.TakesAnIdTwice, contract.an_id_has_one_identity),
    (mutants.ChecksThenCreates, contract.racing_creates_of_one_identity_make_one),
    (mutants.ChecksThenCreates, contract.racing_creates_with_one_email_make_one),
    (mutants.FindsPartsOfAnId, contract.only_the_exact_id_is_found),
    (mutants.FindsPartsOfAnEmail, contract.only_the_exact_email_is_found),
    (mutants.KeepsTheEmailOfTheDeleted, contract.a_deleted_identity_is_gone),
    (mutants.DeletesOnce, contract.deleting_what_is_not_there_is_done),
    (mutants.TakesNobodyForWrong, contract.a_password_is_right_wrong_or_absent),
    (mutants.TrimsPasswords, contract.a_password_is_right_wrong_or_absent),
    (mutants.VerifiesByEmail, contract.a_password_opens_only_the_identity_asked_for),
    (mutants.LosesThePasswordWithTheEmail, contract.an_email_is_updated_alone),
    (mutants.SetsNoPassword, contract.a_password_is_updated_alone),
    (mutants.KeepsConfirmations, contract.a_confirmation_is_given_and_taken_back_or_refused),
    (mutants.DisablesNobody, contract.a_disabled_identity_says_so),
    (mutants.UpdatesInSteps, contract.an_update_to_a_taken_email_changes_nothing),
    (mutants.UpdatesNobody, contract.an_update_of_what_is_not_there_is_absent),
    (mutants.SkipsBetweenPages, contract.every_identity_is_met_in_pages),
    (mutants.BeginsAgain, contract.every_identity_is_met_in_pages),
    (mutants.HasItsOwnPages, contract.every_identity_is_met_in_pages),
    (mutants.SetsThePasswordLater, contract.a_create_whose_caller_went_away_can_be_sent_again),
    (mutants.ClosesOnce, contract.closing_a_provider_twice_is_harmless),
    (mutants.SignsAnyoneIn, sessions.sign_in_gives_the_identity_and_tokens),
    (mutants.NeverSignsOut, sessions.a_session_is_refreshed_until_it_ends),
    (mutants.KnowsTheSignedOut, sessions.an_access_token_tells_whose_it_is),
    (mutants.RefreshesTheDeleted, sessions.sessions_end_with_their_identity),
    (mutants.KeepsSessions, sessions.a_new_password_ends_the_sessions_of_before),
    (mutants.DisablesNobody, sessions.a_disabled_identity_signs_nobody_in),
]


@pytest.mark.parametrize(("mutant", "promise"), MUTANTS)
async def test_a_mutant_breaks_the_promise(mutant: type[FakeProvider], promise: ProviderPromise) -> None:
    """The promise fails on the mutant, by what the contract sees or by an error in place of an answer."""
    with pytest.raises((BrokenPromiseError, ConnectionError)):
        await promise(ProviderBench(mutant()))


def test_every_promise_has_a_mutant() -> None:
    """No promise of the contract is one that nothing could break."""
    assert {*PROVIDER_CONTRACT, *SESSIONS_CONTRACT} == {promise for _, promise in MUTANTS}
