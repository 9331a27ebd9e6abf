"""API keys over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import Response

from semel import errors
from semel.api_keys import Scope
from semel.http.asking import PAGE, asked_page, id_in_path
from semel.http.body import JsonBody
from semel.http.operations import ANY, OF_A_BODY, OF_AN_ADMINISTRATOR, Call, Operation, reply
from semel.http.schemas import ApiKeyAnswer, ApiKeyRequest, ApiKeysAnswer, MadeApiKeyAnswer, api_key_answer

__all__ = ["KEYS"]

_KEY: Final = JsonBody(ApiKeyRequest)


async def _create(call: Call) -> Response:
    body = await call.read(_KEY)
    call.administrator.check(*body.scopes)  # nobody gives what it has not
    by, epoch = call.administrator.id, call.administrator.epoch
    made = await call.semel.create_api_key(body.name, body.scopes, seconds=body.expires_in, by=by, epoch=epoch)
    answer = MadeApiKeyAnswer(token=made.token.reveal(), key=api_key_answer(made.key))
    return reply(answer, HTTPStatus.CREATED)


async def _list(call: Call) -> Response:
    asked = asked_page(call)
    page = await call.semel.api_keys(asked.cursor, asked.limit)
    return reply(ApiKeysAnswer(keys=tuple(map(api_key_answer, page.keys)), cursor=page.cursor))


async def _revoke(call: Call) -> Response:
    key_id = id_in_path(call)
    call.administrator.check(*(await call.semel.parts.api_keys.get(key_id)).scopes)  # which never change
    return reply(api_key_answer(await call.semel.revoke_api_key(key_id)))


KEYS: Final = (
    Operation(
        name="create_api_key",
        method="POST",
        path="/api/keys",
        summary="Make an API key",
        handle=_create,
        status=HTTPStatus.CREATED,
        answer=MadeApiKeyAnswer,
        body=ApiKeyRequest,
        needs=Scope.KEYS_WRITE,
        raises=(*OF_AN_ADMINISTRATOR, *OF_A_BODY, errors.OutcomeUnknown, *ANY),
    ),
    Operation(
        name="list_api_keys",
        method="GET",
        path="/api/keys",
        summary="List API keys",
        handle=_list,
        answer=ApiKeysAnswer,
        query=PAGE,
        needs=Scope.KEYS_WRITE,
        raises=(*OF_AN_ADMINISTRATOR, errors.InvalidInput, *ANY),
    ),
    Operation(
        name="revoke_api_key",
        method="POST",
        path="/api/keys/{id}/revoke",
        summary="Take an API key back for good",
        handle=_revoke,
        answer=ApiKeyAnswer,
        needs=Scope.KEYS_WRITE,
        raises=(*OF_AN_ADMINISTRATOR, errors.NotFound, errors.OutcomeUnknown, *ANY),
    ),
)
