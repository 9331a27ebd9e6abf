"""The promises of ``ports.Sessions``, for whoever writes a provider that signs people in: beside those of providers."""

from __future__ import annotations

from semel.model import Secret
from semel.ports import Absent, Done, NewIdentity, Sessions, SignedIn, Tokens
from semel.testing.promises import BrokenPromiseError, expect
from semel.testing.provider_contract import ProviderBench, ProviderPromise

__all__ = ["SESSIONS_CONTRACT"]


async def sign_in_gives_the_identity_and_tokens(bench: ProviderBench) -> None:
    """To the right password; for a wrong one and for an unknown email alike there is nothing."""
    provider, (new, found) = _sessions(bench), await bench.made()
    signed_in = await provider.sign_in(new.email or "", new.password or Secret(""))
    whose = isinstance(signed_in, SignedIn) and signed_in.identity
    expect(whose == found, f"the right password was answered {type(signed_in).__name__}")
    for email in (new.email or "", bench.identity().email or ""):
        answer = await provider.sign_in(email, Secret("wrong"))
        expect(answer == Absent(), f"what is no sign-in was answered {type(answer).__name__}")


async def a_session_is_refreshed_until_it_ends(bench: ProviderBench) -> None:
    """A refresh gives the identity and new tokens, good for the next; after the sign-out, repeatable, none is good."""
    provider, (new, found) = _sessions(bench), await bench.made()
    tokens = await _signed_in(bench, new)
    for _ in range(2):
        again = await provider.refresh(Secret(tokens.refresh_token))
        if not isinstance(again, SignedIn):
            raise BrokenPromiseError(f"a live refresh token was answered {type(again).__name__}")
        expect(again.identity == found, "the refresh gave another identity")
        # One of the two is enough: some make the same access token again within a second.
        expect(again.tokens != tokens, "the refresh gave the same tokens")
        tokens = again.tokens
    for _ in range(2):
        answer = await provider.sign_out(Secret(tokens.access_token))
        expect(isinstance(answer, Done), f"a sign-out was answered {answer}")
    for dead in (tokens.refresh_token, bench.ids.secret()):
        refreshed = await provider.refresh(Secret(dead))
        expect(refreshed == Absent(), f"a dead refresh token was answered {type(refreshed).__name__}")


async def an_access_token_tells_whose_it_is(bench: ProviderBench) -> None:
    """While its session goes on: neither after the sign-out, nor while the identity is disabled; and nobody's none."""
    provider, (new, found) = _sessions(bench), await bench.made()
    tokens = await _signed_in(bench, new)
    told = await provider.whose(Secret(tokens.access_token))
    expect(told == found, f"a live access token was answered {type(told).__name__}")
    for nobodys in (bench.ids.secret(), "no token\r\nX: y", ""):
        answer = await provider.whose(Secret(nobodys))
        expect(answer == Absent(), f"what is no token was answered {type(answer).__name__}")
    await bench.provider.update(new.id, disabled=True)
    answer = await provider.whose(Secret(tokens.access_token))
    expect(answer == Absent(), f"the token of a disabled identity was answered {type(answer).__name__}")
    await bench.provider.update(new.id, disabled=False)
    tokens = await _signed_in(bench, new)
    await provider.sign_out(Secret(tokens.access_token))
    answer = await provider.whose(Secret(tokens.access_token))
    expect(answer == Absent(), f"the token of a session that has ended was answered {type(answer).__name__}")


async def sessions_end_with_their_identity(bench: ProviderBench) -> None:
    """Once the identity is deleted nobody signs in with it, nor refreshes."""
    provider, (new, found) = _sessions(bench), await bench.made()
    tokens = await _signed_in(bench, new)
    await bench.provider.delete(found.provider_id)
    expect(await provider.refresh(Secret(tokens.refresh_token)) == Absent(), "a deleted identity's token is refreshed")
    answer = await provider.sign_in(new.email or "", new.password or Secret(""))
    expect(answer == Absent(), f"a deleted identity's sign-in was answered {type(answer).__name__}")


async def a_new_password_ends_the_sessions_of_before(bench: ProviderBench) -> None:
    """Whoever opened one with the old password is out: neither its refresh token nor its access token is good."""
    provider, (new, _) = _sessions(bench), await bench.made()
    tokens = await _signed_in(bench, new)
    answer = await bench.provider.update(new.id, password=bench.identity().password)
    expect(isinstance(answer, Done), f"a new password was answered {answer}")
    refreshed = await provider.refresh(Secret(tokens.refresh_token))
    expect(refreshed == Absent(), f"a refresh token of before was answered {type(refreshed).__name__}")
    whose = await provider.whose(Secret(tokens.access_token))
    expect(whose == Absent(), f"an access token of before was answered {type(whose).__name__}")


async def a_disabled_identity_signs_nobody_in(bench: ProviderBench) -> None:
    """Nor refreshes, until it is enabled again."""
    provider, (new, found) = _sessions(bench), await bench.made()
    tokens = await _signed_in(bench, new)
    await bench.provider.update(new.id, disabled=True)
    answer = await provider.sign_in(new.email or "", new.password or Secret(""))
    expect(answer == Absent(), f"a disabled identity's sign-in was answered {type(answer).__name__}")
    refreshed = await provider.refresh(Secret(tokens.refresh_token))
    expect(refreshed == Absent(), f"a disabled identity's refresh was answered {type(refreshed).__name__}")
    await bench.provider.update(new.id, disabled=False)
    again = await provider.sign_in(new.email or "", new.password or Secret(""))
    expect(isinstance(again, SignedIn) and again.identity == found, "enabled again, it signs nobody in")


async def _signed_in(bench: ProviderBench, new: NewIdentity) -> Tokens:
    answer = await _sessions(bench).sign_in(new.email or "", new.password or Secret(""))
    if not isinstance(answer, SignedIn):
        raise BrokenPromiseError(f"the right password was answered {type(answer).__name__}")
    return answer.tokens


def _sessions(bench: ProviderBench) -> Sessions:
    if not isinstance(bench.provider, Sessions):
        raise BrokenPromiseError("this provider has no sign-in: SESSIONS_CONTRACT is not for it")
    return bench.provider


SESSIONS_CONTRACT: tuple[ProviderPromise, ...] = (
    sign_in_gives_the_identity_and_tokens,
    a_session_is_refreshed_until_it_ends,
    an_access_token_tells_whose_it_is,
    sessions_end_with_their_identity,
    a_new_password_ends_the_sessions_of_before,
    a_disabled_identity_signs_nobody_in,
)
"""What a provider that signs people in promises besides."""
