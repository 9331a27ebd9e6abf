"""Semel's own keys: made once for a store, kept in it, wrapped with the operator's secret where there is one.

No set-up is needed, and a restart changes nothing: whoever comes first inserts a key under its fixed id, and
everybody reads that one. No key is used that was not read from the store.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Self, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import ECKey, KeySet, KeySetSerialization

from semel.errors import CommitUnknown, ConfigurationInvalid, StoreError, StoreUnavailable, WriteRefused
from semel.model import KeyRecord, Secret
from semel.ports import Clock, Delete, Ids, Insert, Ref, Replace, Store, Write

__all__ = ["ALGORITHM", "KeyOptions", "Keys", "Purpose", "SigningKeys", "Wrapping"]

ALGORITHM: Final = "ES256"
"""How access tokens are signed (RFC 7518, 3.4): what every JWT library verifies."""

_SIGNING: Final = "signing/"
_NEWEST: Final = "newest/signing"
"""The record that names the newest signing key by its number. Written by the commit that makes the key, so that nobody
has to look for it among all the records of a store."""
_LEAST_SECRET: Final = 32  # characters
_NONCE: Final = 12  # bytes; NIST SP 800-38D, 5.2.1.1
_TRIES: Final = 5
_PAGE: Final = 100


class Purpose(StrEnum):
    """What a secret of 256 bits is for; none serves two purposes."""

    FINGERPRINT = "fingerprint"
    """Fingerprints of payloads."""
    REFRESH = "refresh"
    """Seals of refresh tokens."""
    PROOF = "proof"
    """Proofs that an identity at a provider is ours, where the provider lets nobody choose ids."""
    INVITATION = "invitation"
    """Tokens of invitations."""
    LINK = "link"
    """Tokens of links in mails."""
    LIMITS = "limits"
    """What stands for addresses and accounts where attempts are counted."""


class KeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How keys are kept, and how long one signs. Raises ``ConfigurationInvalid``."""

    secret_key: Secret | None = None
    """Wraps the keys at rest; the same on every server of a store. Without it whoever reads the store can sign."""
    rotate_after: float = 90 * 86_400.0
    """For how many seconds a key signs. For as long again it verifies, so this must exceed an access token's life."""
    reload_interval: float = 5.0
    """How many seconds lie at least between two readings for the sake of unknown keys, which anybody can make up."""

    def __post_init__(self) -> None:
        """Check what the values alone can tell."""
        if self.secret_key is not None and len(self.secret_key.reveal()) < _LEAST_SECRET:
            raise ConfigurationInvalid(f"secret_key must be at least {_LEAST_SECRET} characters long, drawn at random")
        if self.rotate_after <= 0 or self.reload_interval < 0:
            raise ConfigurationInvalid("rotate_after must be above 0, reload_interval not below")


class Wrapping:
    """Encrypts keys at rest: AES-256-GCM under a key derived from the operator's secret by HKDF (RFC 5869).

    The record's id and algorithm are authenticated too, so no wrapped key can stand in for another.
    """

    def __init__(self, secret_key: Secret) -> None:
        derived = HKDF(SHA256(), length=32, salt=None, info=b"semel: keys at rest, 1")
        self._cipher = AESGCM(derived.derive(secret_key.reveal().encode("utf-8", "surrogatepass")))

    def wrap(self, record: KeyRecord, nonce: bytes) -> KeyRecord:
        """Return the record with its secret wrapped. ``nonce`` is 96 bits, never used before."""
        sealed = self._cipher.encrypt(nonce, record.secret.encode(), self._about(record))
        return record.but(secret=base64.urlsafe_b64encode(nonce + sealed).decode(), wrapped=True)

    def unwrap(self, record: KeyRecord) -> str:
        """Return the secret of a wrapped record. Raises ``ConfigurationInvalid`` where it does not open."""
        try:
            sealed = base64.urlsafe_b64decode(record.secret)
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._about(record)).decode()
        except (InvalidTag, ValueError):
            message = f"SEMEL_SECRET_KEY is not the one with which the store's key {record.id} was wrapped"
            raise ConfigurationInvalid(message) from None

    @staticmethod
    def _about(record: KeyRecord) -> bytes:
        return f"{record.id} {record.algorithm}".encode()


class SigningKeys:
    """The keys of access tokens, as last read: the newest signs, it and the one before verify."""

    algorithm = ALGORITHM

    def __init__(self, newest_first: Sequence[KeyRecord]) -> None:
        self.use(newest_first)

    def use(self, newest_first: Sequence[KeyRecord]) -> None:
        """Use these records from now on."""
        keys = [ECKey.import_key(msgspec.json.decode(record.secret)) for record in newest_first]
        self.current = keys[0]
        """Signs. Its ``kid`` is its thumbprint (RFC 7638), so no two keys share one, not even those of two stores."""
        self.verifying = KeySet([ECKey.import_key(key.as_dict(private=False)) for key in keys])
        """Verify: the public halves alone."""

    def known(self, kid: str) -> bool:
        """Tell whether a key of this id verifies."""
        return any(key.kid == kid for key in self.verifying)

    def jwks(self) -> KeySetSerialization:
        """Return the public keys as a JSON Web Key Set (RFC 7517)."""
        return self.verifying.as_dict()


class _Signing(NamedTuple):
    """The signing keys, the newest first, and what named them when they were read."""

    keys: Sequence[KeyRecord]
    pointer: KeyRecord


class _Shelf:
    """The key records of one store: wrapped at rest, open here."""

    def __init__(self, store: Store, ids: Ids, secret_key: Secret | None) -> None:
        self._store = store
        self._ids = ids
        self._wrapping = Wrapping(secret_key) if secret_key else None

    async def secret(self, purpose: Purpose, now: datetime) -> bytes:
        """Return the secret for a purpose, made at the first time. Raises a ``StoreError``."""
        proposed = KeyRecord(
            id=_secret_id(purpose), algorithm="HS256", secret=self._ids.secret(), wrapped=False, created_at=now
        )
        return (await self._the(proposed)).secret.encode()

    async def signing(self, now: datetime) -> _Signing:
        """Return the signing keys; where there is none, make one. Raises a ``StoreError``."""
        for _ in range(_TRIES):
            pointer = await self._store.get(KeyRecord, (_NEWEST,))
            if pointer is not None and (keys := await self._named_by(self._opened(pointer))):
                return _Signing(keys, pointer)
            await self._point(pointer, now)
        raise StoreUnavailable("a signing key could not be made")

    async def follow(self, signing: _Signing, now: datetime) -> bool:
        """Insert the signing key after the newest, delete those before it; tell whether that is known to be done."""
        following = self._signing_key(_number(signing.keys[0]) + 1, now)
        named = Replace(self._closed(_naming(following).but(version=signing.pointer.version)))
        return await self._put(Insert(self._closed(following)), named, *map(Delete, signing.keys[1:]))

    async def wrap_bare(self, signing: _Signing) -> None:
        """Wrap the keys that are older than the operator's secret. Raises a ``StoreError``."""
        if self._wrapping is None:
            return
        ids = [*map(_secret_id, Purpose), _NEWEST, *(record.id for record in signing.keys)]
        for record in await self._read(ids):
            if record is not None and not record.wrapped:
                await self._put(Replace(self._closed(record)))

    async def _named_by(self, pointer: KeyRecord) -> list[KeyRecord]:
        """Return the key that is named, the one before, and any that follow, the newest first.

        Releases that knew no pointer made keys without moving it.
        """
        named = int(pointer.secret) if pointer.secret.isdecimal() else 0
        numbers = range(max(named - 1, 1), named + 2)
        found: list[KeyRecord] = []
        while numbers:
            records = await self._read([f"{_SIGNING}{number}" for number in numbers])
            found += [self._opened(record) for record in records if record is not None]
            numbers = range(numbers.stop, numbers.stop + (records[-1] is not None))
        return found[::-1]

    async def _point(self, pointer: KeyRecord | None, now: datetime) -> None:
        """Let the pointer name the newest signing key there is, or the first, which is made with it.

        A key that nothing names is found only by going through the whole store, which is done once for each.
        """
        standing = [record for record in await self._all() if record.id.startswith(_SIGNING)]
        newest = max(standing, key=_number, default=None)
        named = newest or self._signing_key(1, now)
        first = [Insert(self._closed(named))] if newest is None else []
        naming = self._closed(_naming(named))
        # Done, refused or unknown: the next reading tells what stands there.
        await self._put(*first, Replace(naming.but(version=pointer.version)) if pointer else Insert(naming))

    async def _the(self, proposed: KeyRecord) -> KeyRecord:
        """Return the record of this id: the proposed one, unless somebody was first."""
        for _ in range(_TRIES):
            found = await self._store.get(KeyRecord, proposed.key)
            if found is not None:
                return self._opened(found)
            # Done, refused or unknown: the next reading tells whose it is.
            await self._put(Insert(self._closed(proposed)))
        raise StoreUnavailable(f"the key {proposed.id} could not be made")

    async def _put(self, *writes: Write) -> bool:
        try:
            await self._store.commit(writes, self._ids.token())
        except (WriteRefused, CommitUnknown):
            return False
        return True

    async def _read(self, ids: Sequence[str]) -> list[KeyRecord | None]:
        return cast("list[KeyRecord | None]", await self._store.get_many([Ref(KeyRecord, (id_,)) for id_ in ids]))

    async def _all(self) -> list[KeyRecord]:
        page = await self._store.page(KeyRecord, None, _PAGE)
        found = list(page.records)
        while page.cursor is not None:
            page = await self._store.page(KeyRecord, page.cursor, _PAGE)
            found += page.records
        return cast("list[KeyRecord]", found)

    def _signing_key(self, number: int, now: datetime) -> KeyRecord:
        key = ECKey.derive_key(self._ids.secret())
        private = key.as_dict(private=True, kid=key.thumbprint(), alg=ALGORITHM, use="sig")
        text = msgspec.json.encode(private).decode()
        return KeyRecord(id=f"{_SIGNING}{number}", algorithm=ALGORITHM, secret=text, wrapped=False, created_at=now)

    def _closed(self, record: KeyRecord) -> KeyRecord:
        if self._wrapping is None:
            return record
        return self._wrapping.wrap(record, base64.urlsafe_b64decode(f"{self._ids.secret()}=")[:_NONCE])

    def _opened(self, record: KeyRecord) -> KeyRecord:
        if not record.wrapped:
            return record
        if self._wrapping is None:
            raise ConfigurationInvalid(f"the store's key {record.id} is wrapped: set SEMEL_SECRET_KEY as it was then")
        return record.but(secret=self._wrapping.unwrap(record), wrapped=False)


def _secret_id(purpose: Purpose) -> str:
    return f"{purpose}/1"


def _number(record: KeyRecord) -> int:
    return int(record.id.removeprefix(_SIGNING))


def _naming(key: KeyRecord) -> KeyRecord:
    """Return the pointer that names this signing key."""
    return KeyRecord(id=_NEWEST, algorithm="number", secret=str(_number(key)), wrapped=False, created_at=key.created_at)


class _Reading(NamedTuple):
    """What was read when, in the clock's monotonic seconds."""

    secrets: Mapping[Purpose, bytes]
    signing: Sequence[KeyRecord]
    at: float


class Keys:
    """The keys of one store, as this process has last read them."""

    def __init__(self, shelf: _Shelf, clock: Clock, options: KeyOptions, read: _Reading) -> None:
        self.signing = SigningKeys(read.signing)
        self._secrets = read.secrets
        self._read_at = read.at
        self._failed_at = read.at
        self._shelf = shelf
        self._clock = clock
        self._options = options
        self._reading = asyncio.Lock()

    @classmethod
    async def open(cls, store: Store, clock: Clock, ids: Ids, options: KeyOptions | None = None) -> Self:
        """Read the keys, having made those that are missing and wrapped those that should be and are not.

        Raises ``ConfigurationInvalid`` where ``secret_key`` is missing, or another one than the keys were wrapped
        with; or a ``StoreError``.
        """
        options = options or KeyOptions()
        shelf = _Shelf(store, ids, options.secret_key)
        now, began = clock.now(), clock.monotonic()
        secrets = {purpose: await shelf.secret(purpose, now) for purpose in Purpose}
        signing = await shelf.signing(now)
        await shelf.wrap_bare(signing)
        return cls(shelf, clock, options, _Reading(secrets, signing.keys, began))

    def secret(self, purpose: Purpose) -> bytes:
        """Return 256 random bits for one purpose: the same on every server of the store, for ever."""
        return self._secrets[purpose]

    async def knows(self, kid: str) -> bool:
        """Tell whether a signing key of this id verifies. One that is unknown is looked for in the store.

        Another server may just have made it; but no more often than ``reload_interval`` says. Raises a
        ``StoreError``.
        """
        if self.signing.known(kid):
            return True
        asked = self._clock.monotonic()
        async with self._reading:  # so whoever asks meanwhile shares the reading
            if self._failed_at > asked:  # and its failure: else each would wait for those of all before it
                raise StoreUnavailable("the signing keys could not be read")
            waited = self._clock.monotonic() - self._read_at
            if not self.signing.known(kid) and waited >= self._options.reload_interval:
                await self._read()
        return self.signing.known(kid)

    async def rotate(self, now: datetime) -> bool:
        """Read the keys, and make the next signing key if the newest has signed long enough.

        Returns whether this call is known to have made one. A duty of upkeep: any number of servers may do it at
        once, since the insert of the next number decides. Raises a ``StoreError``.
        """
        signing = await self._read()
        if now - signing.keys[0].created_at < timedelta(seconds=self._options.rotate_after):
            return False
        made = await self._shelf.follow(signing, now)
        await self._read()
        return made

    async def _read(self) -> _Signing:
        began = self._clock.monotonic()
        try:
            signing = await self._shelf.signing(self._clock.now())
        except StoreError:
            self._failed_at = self._clock.monotonic()
            raise
        self.signing.use(signing.keys)
        self._read_at = began
        return signing
