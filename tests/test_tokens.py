"""Tokens: what is forged is refused, what is spent buys one more for a while, and no more."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jwt

from semel.errors import InvalidToken
from semel.keys import Keys, Purpose
from semel.model import Secret
from semel.stores.memory import MemoryStore
from semel.testing import SequentialIds, VirtualClock
from semel.testing.clock import START
from semel.tokens import LEAVES, AccessTokens, Claims, Leaf, RefreshTokens, hash_of, rotated

CLAIMS = Claims(sub="the account", sid="the session", epoch=3)
SAID = {"iss": "semel", "aud": "semel", "exp": 2**33, **msgspec.structs.asdict(CLAIMS)}
INTERVAL = 10.0
REFRESH = RefreshTokens(b"a key of the server")


async def keys() -> Keys:
    clock = VirtualClock()
    return await Keys.open(MemoryStore(clock.now), clock, SequentialIds())


async def issuer(name: str = "semel", audience: str = "semel") -> AccessTokens:
    return AccessTokens(await keys(), name, audience)


async def test_an_access_token_says_whom_it_speaks_for() -> None:
    """What was put in comes out."""
    tokens = await issuer()
    assert await tokens.read(Secret(tokens.make(CLAIMS, START, 900)), START, 0) == CLAIMS


@pytest.mark.parametrize(
    ("after", "leeway", "good"), [(899, 0, True), (901, 0, False), (904, 5, True), (906, 5, False)]
)
async def test_an_access_token_expires(after: float, leeway: float, good: bool) -> None:  # noqa: FBT001
    """It is good for its time, and for as much longer as clocks may differ."""
    tokens = await issuer()
    token, then = Secret(tokens.make(CLAIMS, START, 900)), START + timedelta(seconds=after)
    if good:
        assert await tokens.read(token, then, leeway) == CLAIMS
    else:
        with pytest.raises(InvalidToken):
            await tokens.read(token, then, leeway)


@pytest.mark.parametrize(("name", "audience"), [("another", "semel"), ("semel", "another")])
async def test_an_access_token_of_others_is_refused(name: str, audience: str) -> None:
    """Signed by our key, yet by another issuer, or for another audience."""
    theirs, ours = await issuer(name, audience), await issuer()
    with pytest.raises(InvalidToken):
        await ours.read(Secret(theirs.make(CLAIMS, START, 900)), START, 0)


async def test_a_forged_access_token_is_refused() -> None:
    """With another's signature, a symmetric one made of our public key, none, no key's id; ours alone is good."""
    ring = await keys()
    tokens, kid = AccessTokens(ring, "semel", "semel"), ring.signing.current.kid or ""
    public = ring.signing.current.as_pem(private=False)
    forged = (
        jwt.encode({"alg": "ES256", "kid": kid}, SAID, jwk.ECKey.generate_key("P-256")),
        by_hand({"alg": "HS256", "kid": kid}, lambda signed: hmac.digest(public, signed, "sha256")),
        by_hand({"alg": "none", "kid": kid}, lambda _: b""),
        jwt.encode({"alg": "ES256"}, SAID, ring.signing.current),
    )
    genuine = jwt.encode({"alg": "ES256", "kid": kid}, SAID, ring.signing.current)
    assert await tokens.read(Secret(genuine), START, 0) == CLAIMS
    for token in forged:
        with pytest.raises(InvalidToken):
            await tokens.read(Secret(token), START, 0)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["alg", "kid", "ES256", ""]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64"]), inner),
)


@given(_JSON)
async def test_any_header_is_no_token(header: object) -> None:
    """A header is whatever JSON somebody sends, and need be no object."""
    with pytest.raises(InvalidToken):
        await (await issuer()).read(Secret(by_hand(header, lambda _: b"")), START, 0)


def by_hand(header: object, sign: Callable[[bytes], bytes]) -> str:
    """Make a JWT that no library would."""
    signed = b".".join(urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=") for part in (header, SAID))
    return (signed + b"." + urlsafe_b64encode(sign(signed)).rstrip(b"=")).decode()


@pytest.mark.parametrize("missing", ["iss", "aud", "exp", "sub", "sid", "epoch"])
async def test_an_access_token_that_does_not_say_all_is_refused(missing: str) -> None:
    """Each claim is needed, though our own key signed without it."""
    ring = await keys()
    said = {name: value for name, value in SAID.items() if name != missing}
    token = jwt.encode({"alg": ring.signing.algorithm, "kid": ring.signing.current.kid}, said, ring.signing.current)
    with pytest.raises(InvalidToken):
        await AccessTokens(ring, "semel", "semel").read(Secret(token), START, 0)


@given(st.one_of(st.text(st.characters()), st.lists(st.text("ab.eyJ0=_-{}\ud800")).map(".".join)))
async def test_any_text_is_no_token(text: str) -> None:
    """Whatever somebody sends as a token is refused as one, and as nothing else."""
    with pytest.raises(InvalidToken):
        await (await issuer()).read(Secret(text), START, 0)
    with pytest.raises(InvalidToken):
        REFRESH.read(Secret(text))


def test_a_refresh_token_names_its_family_and_hides_its_secret() -> None:
    """It is read as what it was made of; the record's side of it is a hash."""
    ticket = REFRESH.read(Secret(REFRESH.make("the family", "the secret")))
    assert (ticket.family_id, ticket.hash) == ("the family", hash_of("the secret"))
    assert "the secret" not in ticket.hash


def test_only_the_server_makes_refresh_tokens() -> None:
    """One under another key, or with any part changed, is refused, so nobody can make up an old one of a family."""
    token = REFRESH.make("the family", "the secret")
    changed = [
        token[:place] + ("b" if token[place] == "a" else "a") + token[place + 1 :] for place in range(len(token))
    ]
    for forged in (RefreshTokens(b"another key").make("the family", "the secret"), *changed):
        with pytest.raises(InvalidToken):
            REFRESH.read(Secret(forged))


async def test_the_key_of_refresh_tokens_is_its_own() -> None:
    """No other secret of the store would do."""
    ring = await keys()
    assert ring.secret(Purpose.REFRESH) != ring.secret(Purpose.FINGERPRINT)


def leaves(*steps: tuple[str, str, float]) -> tuple[Leaf, ...] | None:
    """Take steps from one leaf ``0``: offered, successor, and the second when."""
    found: tuple[Leaf, ...] | None = (Leaf("0"),)
    for offered, successor, second in steps:
        if found is None:
            return None
        found = rotated(found, offered, successor, START + timedelta(seconds=second), INTERVAL)
    return found


def test_a_live_token_is_spent_once() -> None:
    """Its successor takes its place, and it is remembered as spent."""
    assert leaves(("0", "1", 5)) == (Leaf("0", START + timedelta(seconds=5)), Leaf("1"))


def test_a_spent_token_buys_siblings_for_the_interval_alone() -> None:
    """Until then as many as are asked for, after it none."""
    assert leaves(("0", "1", 0), ("0", "2", 1), ("0", "3", 10)) is not None
    assert leaves(("0", "1", 0), ("0", "2", 10.001)) is None


def test_siblings_do_not_prolong_the_interval() -> None:
    """The interval begins when a token is first spent, however often it is offered meanwhile."""
    assert leaves(("0", "1", 0), ("0", "2", 8), ("0", "3", 16)) is None


def test_a_sibling_goes_its_own_way() -> None:
    """Two tabs that share a token go on from it, each with its own, long after the interval."""
    assert leaves(("0", "a1", 0), ("0", "b1", 1), ("a1", "a2", 100), ("b1", "b2", 200), ("a2", "a3", 300)) is not None


def test_a_token_that_nobody_bought_is_unknown() -> None:
    """An authentic token of the family that is neither live nor lately spent was used before."""
    assert leaves(("never", "1", 0)) is None


def test_a_family_does_not_grow_without_end() -> None:
    """The oldest leaves go: live ones, and those spent within the interval."""
    many = leaves(*((str(number), str(number + 1), 0) for number in range(3 * LEAVES)))
    siblings = leaves(*(("0", str(number), 0) for number in range(1, 3 * LEAVES)))
    assert many is not None
    assert siblings is not None
    assert len(many) == LEAVES + 1
    assert [leaf.hash for leaf in siblings] == ["0", *map(str, range(2 * LEAVES, 3 * LEAVES))]
