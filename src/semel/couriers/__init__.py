"""Ways that the outbox's events go: each keeps ``outgoing.Courier``."""
