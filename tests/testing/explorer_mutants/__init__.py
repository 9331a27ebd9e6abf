"""Programs that are the shipped one but for one rule. The explorer must find the harm that each does."""

from tests.testing import commit_mutants as stores
from tests.testing.explorer_mutants import engines, outbox, proofs, steps
from tests.testing.explorer_mutants.surgery import Mutant, scenario_named

__all__ = ["MERELY_OTHERWISE", "MUTANTS", "Mutant", "scenario_named"]

_COMMIT = "embedded/fresh/key+rival"
_DELETION = "own/owned/delete+key"
_FAIL = ("semel.registrar.fail", "semel.protocol.ending.fail", "semel.protocol.outside.fail")
_FINISH = ("semel.protocol.ending.finish", "semel.upkeep.rescue.finish")
_LOOK = ("semel.upkeep.removal._look",)
_LEASE = ("semel.registrar.take_lease", "semel.protocol.ending.take_lease")
_OUTSIDE = ("semel.registrar.Outside",)
_REPLAY = ("semel.registrar.same_answer",)
_PARTIES = "semel.testing.scenarios.parties"
_OUTBOX = "semel.testing.scenarios.outbox"
_TWO_DELIVER = "outbox/waiting/delivers+delivers-2"
_WORK = ("semel.registrar._Work",)
_OPENING = ("semel.proving._Opening",)
_PROVES = "proof-embedded/unproved"

MUTANTS = (
    Mutant(stores.OverwritesOnInsert, _COMMIT, 0, "UD"),
    Mutant(stores.SkipsTheVersionCheck, "own/dead/upkeep+same", 0, "TD"),
    Mutant(stores.CommitsInPart, _COMMIT, 0, "UWR"),
    Mutant(engines.CountsVersions, "own/fresh/key+again", 0, "D"),
    Mutant(engines.LooksThenWrites, _COMMIT, 0, "UD"),
    Mutant(engines.TellsAfterwards, "embedded/fresh/key", 1, "E"),
    Mutant(engines.OwnsAfterwards, "own/fresh/key", 1, "W"),
    Mutant(engines.ComparesNoPayload, "embedded/fresh/key+other-payload", 0, "K"),
    Mutant(engines.RespectsNoLease, "own/fresh/key+rival", 0, "D"),
    Mutant(engines.FailsWithoutCondemning, "own/fresh/key", 1, "W"),
    Mutant(engines.ForgetsARemovalEarly, "own/fresh/key", 1, "W"),
    Mutant(engines.RemovesInVain, "own/removal-due/removal+removal-2+sign-in-0", 1, "W"),
    Mutant(engines.ReleasesByName, "own/foreign/key+rival", 0, "D"),
    Mutant(engines.DeletesWithoutCondemning, _DELETION, 0, "DW"),
    Mutant(engines.DeletesWithoutWithdrawing, _DELETION, 0, "W"),
    Mutant(engines.TakesALostAnswerForARefusal, "embedded/owned/delete+key", 1, "R"),
    Mutant(engines.TakesALostAnswerForASuccess, "embedded/fresh/key", 1, "A"),
    Mutant(engines.RollsBackALostAnswer, "own/fresh/key", 1, "D"),
    Mutant(steps.RefusesInDoubt, "embedded/owned/delete+key", 1, "R", _WORK),
    Mutant(steps.ReusesTheId, "own/removal/upkeep+replay", 0, "W", _WORK),
    Mutant(steps.replays_unverified, "own/owned/replay-other-password", 0, "K", _REPLAY),
    Mutant(steps.sets_the_credential_again, "embedded/fresh/key+other-password", 0, "K", _REPLAY),
    Mutant(
        steps.converges_unverified,
        "embedded/fresh/no-key+no-key-other-password",
        0,
        "K",
        ("semel.registrar.same_intent",),
    ),
    Mutant(steps.completes_unasked, "own/fresh/key+upkeep", 1, "W", _FINISH),
    Mutant(steps.removes_before_failing, "own/fresh/key+upkeep", 0, "D", _FAIL),
    Mutant(steps.removes_before_deleting, _DELETION, 0, "D", ("semel.testing.scenarios.parties.delete_account",)),
    Mutant(steps.forgets_the_pending, "own/dead/upkeep+same", 0, "T", ("semel.upkeep.rescue.finish",)),
    Mutant(steps.TrustsItsId, "own/fresh/key+other-password", 0, "K", _OUTSIDE),
    Mutant(steps.AnswersEarly, "own/fresh/key", 0, "A", _OUTSIDE),
    Mutant(steps.AdoptsByEmail, "own/foreign/key", 0, "W", _OUTSIDE),
    Mutant(steps.RemovesWhatIsInTheWay, "own/foreign/key", 0, "D", _OUTSIDE),
    Mutant(steps.RemovesWhatHasARecord, "own/astray/key", 0, "D", _OUTSIDE),
    Mutant(steps.CondemnsForAnybody, "own/planted/key", 0, "D", _OUTSIDE),
    Mutant(steps.CondemnsTheYoung, "own/young/proved", 0, "D", _OUTSIDE),
    Mutant(steps.DeletesUnseen, "own/planted/proved+confirms", 0, "D", _OUTSIDE),
    Mutant(steps.DeletesUnannounced, "own/planted/proved", 0, "D", _OUTSIDE),
    Mutant(steps.takes_back_early, "own/planted/proved+confirms", 1, "D", _LOOK),
    Mutant(steps.spares_what_is_confirmed, "own/planted/proved+corrects", 1, "D", ("semel.upkeep.removal._spares",)),
    Mutant(steps.spares_nobody, "own/planted/proved+confirms", 1, "D", ("semel.upkeep.removal._spares",)),
    Mutant(steps.ConvergesUnproved, "embedded/fresh/federated+federated-unproved", 0, "K", _WORK),
    Mutant(steps.ConvergesOnAnyName, "embedded/fresh/federated-u+federated-rival", 0, "K", _WORK),
    Mutant(steps.NeverRunsAgain, "own/rejecting/key", 0, "R", _WORK),
    Mutant(steps.SaysThatNothingChanged, "embedded/fresh/key", 2, "R", _WORK),
    Mutant(steps.takes_any_payload, "embedded/fresh/no-key+no-key-u", 0, "K", ("semel.registrar.same_intent",)),
    Mutant(steps.gives_up_nothing, "own/refusing/key+upkeep", 1, "P", ("semel.protocol.ending._forward",)),
    Mutant(steps.releases_the_first, "embedded/two-names/delete", 0, "U", ("semel.protocol.commits.account_end",)),
    Mutant(steps.withdraws_by_key, "embedded/reused/delete", 0, "W", ("semel.protocol.owning._made",)),
    Mutant(steps.asks_nobody, "own/removal-due/upkeep", 0, "W", _LOOK),
    Mutant(steps.takes_silence_for_absence, "own/removal-due/upkeep", 1, "W", _LOOK),
    Mutant(steps.takes_a_delete_for_absence, "own/removal-due/upkeep", 1, "WD", _LOOK),
    Mutant(
        steps.watches_on_for_nobody,
        "own/removal-due/removal+removal-2+sign-in-0",
        0,
        "W",
        ("semel.protocol.commits.watched_on",),
    ),
    Mutant(
        steps.HealsByALook, "own/fresh/key+sign-in+upkeep", 0, "WT", ("semel.testing.scenarios.parties.SignInDoor",)
    ),
    Mutant(outbox.SendsWithoutALease, _TWO_DELIVER, 0, "E", (f"{_OUTBOX}.DeliveryDuty",)),
    Mutant(outbox.takes_silence_for_taken, _TWO_DELIVER, 1, "E", ("semel.upkeep.delivery._made",)),
    Mutant(outbox.tries_for_ever, "outbox/down/delivers", 0, "P", ("semel.upkeep.delivery.dead",)),
    Mutant(outbox.forgets_what_waits, _TWO_DELIVER, 0, "T", (f"{_OUTBOX}.forget_event",)),
    Mutant(proofs.LeavesTheAccount, f"{_PROVES}/proves", 0, "UA", _OPENING),
    Mutant(proofs.ProvesTooEarly, "proof/unproved/proves-new+upkeep", 1, "H", _OPENING),
    Mutant(proofs.BelievesAnOldPassword, "proof/unproved/proves-new+sign-in-0", 0, "H", (f"{_PARTIES}.SignInDoor",)),
    Mutant(proofs.OustsTheProved, f"{_PROVES}-invited/proves+accepts", 0, "A", _WORK),
    Mutant(
        proofs.expires_what_is_proved,
        "proof-embedded/overdue/proves+expiry",
        0,
        "A",
        ("semel.testing.scenarios.proof_parties.expire_unproved",),
    ),
    Mutant(
        proofs.opens_what_was_used,
        f"{_PROVES}/proves+proves-too",
        0,
        "K",
        ("semel.proving.refusal", "semel.links.refusal"),
    ),
    Mutant(proofs.leaves_its_links, f"{_PROVES}/proves+delete", 0, "U", ("semel.protocol.commits.account_end",)),
    Mutant(
        proofs.marks_over_a_mark,
        "proof/recovering-proved/recovers-again",
        1,
        "K",
        ("semel.credentials.mark", "semel.proving.mark"),
    ),
    Mutant(proofs.ReleasesTheOldAtOnce, "proof/changing-foreign/changes", 0, "W", _OPENING),
    Mutant(proofs.wishes_nothing, "proof/changing/changes", 1, "P", ("semel.proving.pended",)),
    Mutant(proofs.wishes_once, "proof/proved/switches", 1, "W", ("semel.protocol.commits.wished",)),
    Mutant(
        proofs.leaves_the_identity,
        "proof-embedded/changing-squatted/changes",
        0,
        "W",
        ("semel.email_changes.account_end",),
    ),
    Mutant(
        proofs.reads_together,
        "proof-apart/unproved/proves-new+enters-0",
        0,
        "H",
        ("semel.sessions.person_by_email",),
    ),
    Mutant(
        proofs.takes_what_is_proved,
        "proof-embedded/changing-squatted/changes+squatter-proves",
        0,
        "A",
        ("semel.proving.claimed",),
    ),
)
"""Each breaks a rule of safety."""

MERELY_OTHERWISE = (
    Mutant(steps.fails_first, "own/fresh/key+upkeep", 1, "", _FINISH),
    Mutant(steps.takes_no_lease, "own/dead/upkeep+rival", 1, "", _LEASE),
    Mutant(steps.FailsInDoubt, "own/fresh/key+upkeep", 1, "", _OUTSIDE),
    Mutant(steps.SendsNothingAgain, "own/fresh/retry+upkeep", 1, "", _WORK),
)
"""Each breaks a rule that is there for those who wait: nothing is lost without it, but other answers are given."""
