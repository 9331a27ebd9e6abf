"""Where identities live: one module a provider."""
