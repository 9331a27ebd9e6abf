"""What operators see: log lines, metrics and spans. Wrapped around the ports; the engine imports none of it."""

from semel.observe.events import ObservedEvents
from semel.observe.logs import configure_logs
from semel.observe.mail import ObservedMailer
from semel.observe.metrics import Metrics
from semel.observe.wrappers import ObservedStore, observed_provider, observed_store

__all__ = [
    "Metrics",
    "ObservedEvents",
    "ObservedMailer",
    "ObservedStore",
    "configure_logs",
    "observed_provider",
    "observed_store",
]
