"""The durations the protocol lives by, and the inequalities between them."""

from __future__ import annotations

import msgspec

from semel.errors import ConfigurationInvalid
from semel.protocol.linking import Proving

__all__ = ["Options"]

_DAY = 86_400.0
_CALLS_A_ROUND = 16  # three times: create, find by id, find by email twice, delete; and one to verify the password


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds. Raises ``ConfigurationInvalid`` where they contradict each other."""

    provider_timeout: float = 5.0
    """How long a remote identity provider may take to answer."""
    lease: float = 20.0
    """How long a worker has a registration to itself; the rescue of a dead one begins after this and the skew."""
    skew: float = 5.0
    """How far a server's clock may be from the store's."""
    wait: float = 8.0
    """How long a request waits for a registration in its way before it answers 409."""
    poll_first: float = 0.02
    poll_most: float = 0.5
    """The waits between two looks at a registration in the way double from the first to the most."""
    same_intent_window: float = 60.0
    """For how long the same payload without a key is taken for the same intent; 0 switches that off."""
    removal_horizon: float = 900.0
    """For how long a create of ours could still land at the provider after its registration failed."""
    removal_retry: float = 5.0
    """The first wait between two looks at a removal; it doubles, up to a tenth of the horizon."""
    planted_after: float = 0.0
    """From which age on somebody else's unconfirmed identity may be removed by whoever proved its email; 0: never."""
    completed_kept: float = 30 * _DAY
    failed_kept: float = 7 * _DAY
    events_kept: float = 30 * _DAY
    """How long completed and failed registrations, and the outbox's events, are kept."""
    invitations_kept: float = 30 * _DAY
    """How long an invitation that has ended is kept: no longer than the registration that accepted it, by which its
    account's end finds it."""
    endpoints: bool = False
    """Whether somebody listens to the events of accounts and invitations; all servers of a store must say the same.
    Without it they are kept, and delivered to nobody. Mails are always to be sent."""
    delivery_waits: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    """The waits after the first attempt to deliver an event, the second, …; after one attempt more it is dead. By
    default those that Standard Webhooks recommends: ten attempts in some three days."""
    proving: Proving | None = None
    """How emails are proved; ``None`` where nothing here makes links."""
    always_hash: bool = False
    """Whether a password is hashed also where a look says that its request will be refused, so that time tells nothing
    of who has an account."""
    rounds: int = 6
    """How often a request looks again at what others changed before it answers that the outcome is unknown."""

    def __post_init__(self) -> None:
        """Check the inequalities that the protocol's guarantees rest on."""
        for holds, rule in (
            (self.provider_timeout > 0, "provider_timeout must be above 0"),
            (2 * self.provider_timeout <= self.lease, "lease must be at least twice provider_timeout"),
            (0 <= self.skew <= self.lease / 4, "skew must be from 0 to a quarter of lease"),
            (0 < self.poll_first <= self.poll_most, "poll_first must be above 0 and at most poll_most"),
            (self.wait > 0, "wait must be above 0"),
            (self.rounds > 1, "rounds must be above 1"),
            (self.same_intent_window >= 0, "same_intent_window must be 0 or more"),
            (self.removal_retry > 0, "removal_retry must be above 0"),
            (self.removal_horizon >= 4 * self.lease, "removal_horizon must be at least four leases"),
            (
                self.planted_after == 0 or self.planted_after >= self.removal_horizon,
                "planted_after must be 0 or at least removal_horizon",
            ),
            (self.same_intent_window < self.completed_kept, "completed_kept must be above same_intent_window"),
            (self.longest_request * 10 <= self.completed_kept, "completed_kept must be ten times the longest request"),
            (self.longest_request * 10 <= self.failed_kept, "failed_kept must be ten times the longest request"),
            (self.events_kept > 0, "events_kept must be above 0"),
            (
                bool(self.delivery_waits) and min(self.delivery_waits) > 0,
                "delivery_waits must be at least one, each above 0",
            ),
            (
                0 < self.invitations_kept <= self.completed_kept,
                "invitations_kept must be above 0 and at most completed_kept",
            ),
        ):
            if not holds:
                raise ConfigurationInvalid(rule)

    @property
    def grace(self) -> float:
        """For how long after its lease a registration is left alone: two clocks may each be off by the skew."""
        return 2 * self.skew

    @property
    def longest_request(self) -> float:
        """An upper bound of how long one request works: it waits once, and calls the provider some times a round."""
        return self.wait + self.rounds * _CALLS_A_ROUND * self.provider_timeout
