"""Doubles and contract suites, shipped for whoever builds on Semel or writes a store or a provider for it.

- ``VirtualClock``, ``SequentialIds``: time and randomness that repeat. ``CheapHasher``: passwords hashed in no time.
- ``FakeProvider``: a remote identity provider in memory; ``semel.testing.fake_server`` serves one to other processes.
- ``RecordingCourier``: endpoints of the outbox in memory, which take events, refuse them, or lose their answer.
- ``RecordingMailer``: a mail server in memory, which takes mails, refuses them, or loses its answer.
- ``FaultyStore``: any store, behind a network that fails. ``FaultPlan`` says how, to all of them.
- ``semel.testing.azure_faults``: faults of Azure Tables, between the SDK and the network; needs the extra ``azure``.
- ``semel.testing.fake_entities``: a table of Azure Table Storage in memory, atomic in one partition alone.
- ``semel.testing.aws_faults`` (with the extra ``dynamodb``): what DynamoDB may do at any time and its emulators do not.
- ``semel.testing.store_contract``, ``semel.testing.provider_contract``, ``semel.testing.sessions_contract`` and
  ``semel.testing.mailer_contract``: the promises of the ports.
"""

from semel.testing.clock import START, SequentialIds, VirtualClock
from semel.testing.couriers import RecordingCourier
from semel.testing.fake_provider import FakeProvider, Variant
from semel.testing.faults import (
    COURIER_OPERATIONS,
    MAILER_OPERATIONS,
    PROVIDER_OPERATIONS,
    STORE_OPERATIONS,
    Fault,
    FaultPlan,
    Faults,
)
from semel.testing.hashers import CheapHasher
from semel.testing.mailers import RecordingMailer
from semel.testing.promises import BrokenPromiseError
from semel.testing.stores import FaultyStore, FaultyTidyingStore

__all__ = [
    "COURIER_OPERATIONS",
    "MAILER_OPERATIONS",
    "PROVIDER_OPERATIONS",
    "START",
    "STORE_OPERATIONS",
    "BrokenPromiseError",
    "CheapHasher",
    "FakeProvider",
    "Fault",
    "FaultPlan",
    "Faults",
    "FaultyStore",
    "FaultyTidyingStore",
    "RecordingCourier",
    "RecordingMailer",
    "SequentialIds",
    "Variant",
    "VirtualClock",
]
