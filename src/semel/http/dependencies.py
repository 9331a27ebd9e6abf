"""For FastAPI applications of your own: whose request it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from semel.errors import SemelError
from semel.http.operations import bearer
from semel.http.problems import Refused
from semel.model import Account

__all__ = ["current_account"]

_documented = HTTPBearer(auto_error=False, bearerFormat="JWT")


async def current_account(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_documented)],
) -> Account:
    """Return the account of the request's access token: ``Depends(current_account)``.

    The application must include ``router(semel)``. Answers 401 without a good token, also where the account is switched
    off.
    """
    try:
        account: Account = await request.state.semel.current_account(bearer(request.headers))
    except SemelError as error:
        raise Refused(error) from None
    return account
