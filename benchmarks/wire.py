"""As much of HTTP as both ends of a benchmark need."""

from __future__ import annotations

__all__ = ["content_length"]


def content_length(head: bytes) -> int:
    """Return how many bytes of body follow a head; none where it does not say."""
    _, found, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0]) if found else 0
