"""What mails say: templates that an operator can replace."""

from semel.mails.templates import About, Templates

__all__ = ["About", "Templates"]
