"""Supabase Auth's API (GoTrue) on the embedded provider, so that the official clients work unchanged.

What a request may say and what is answered was taken from the server itself (https://github.com/supabase/auth).
"""

from semel.http.gotrue.routes import PREFIX, gotrue_app

__all__ = ["PREFIX", "gotrue_app"]
