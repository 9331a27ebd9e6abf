"""Ways that mail goes: each keeps ``outgoing.Mailer``."""
