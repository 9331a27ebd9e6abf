"""A specimen: the sign-up of a FastAPI application on Supabase, after its repair, as a server of its own.

The repair reads: create the user by the admin API, insert the profile under the user's id, and where that fails delete
the user again. Whatever goes wrong is a 500. ``uvicorn tests.e2e.stories.auth_routes:app`` runs it; the environment has
``SUPABASE_URL``, ``SUPABASE_SERVICE_KEY`` and ``DATABASE_URL``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

__all__ = ["PROFILES", "app"]

PROFILES = "CREATE TABLE public.profiles (id uuid PRIMARY KEY, name text, role text, onboarding_completed boolean)"
_INSERT = "INSERT INTO public.profiles VALUES ($1, $2, $3, false)"


class SignUp(BaseModel):
    """The body of a sign-up."""

    name: str
    email: str
    password: str
    role: str


@asynccontextmanager
async def _clients(app: FastAPI) -> AsyncIterator[None]:
    key = os.environ["SUPABASE_SERVICE_KEY"]
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    url = os.environ["SUPABASE_URL"]
    async with (
        httpx.AsyncClient(base_url=f"{url}/auth/v1/admin", headers=headers) as admin,
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=0) as profiles,
    ):
        app.state.admin, app.state.profiles = admin, profiles
        yield


app = FastAPI(lifespan=_clients)


@app.get("/readyz")
async def ready() -> None:
    """Answer that it listens."""


@app.post("/api/auth/signup")
async def signup(request: Request, body: SignUp) -> dict[str, str]:
    """Make a user and its profile."""
    admin, profiles = request.app.state.admin, request.app.state.profiles
    wanted = {"email": body.email, "password": body.password, "email_confirm": True}
    made = await admin.post("/users", json=wanted)
    if made.is_error:
        raise HTTPException(500, "A user with this email address has already been registered")
    user_id = made.json()["id"]
    try:
        await profiles.execute(_INSERT, user_id, body.name, body.role)
    except Exception as error:
        removed = await admin.delete(f"/users/{user_id}")
        if removed.is_error:
            detail = f"Profile insert failed and rollback deletion failed for user {user_id}"
            raise HTTPException(500, detail) from error
        raise HTTPException(500, "Failed to create profile. Auth user removed for safety.") from error
    return {"user_id": user_id}
