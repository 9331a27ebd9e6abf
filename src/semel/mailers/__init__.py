"""Ways that mail goes: each keeps ``ports.Mailer``."""
