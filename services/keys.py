"""API keys: random secrets of which only a hash is kept, and what each role may do."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Literal, get_args

import msgspec

from services import records
from services.database import Database
from services.limits import Bucket
from services.scopes import SCOPES

Role = Literal["checkout", "store", "partner", "planner", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)
BOUND: frozenset[Role] = frozenset({"store", "partner"})
"""Roles that act for nodes and see no others."""
SECRET_BYTES = 24
SESSION = "nom_session_"
"""How the secret of a session of staff begins."""
CACHE_KEYS_MAX = 10_000
NAME_LENGTH_MAX = 100


class Principal(msgspec.Struct, frozen=True):
    """Who makes a call."""

    key_id: str
    role: Role
    node_ids: tuple[str, ...]
    """Nodes that a store key acts for, or where a partner works."""
    partner_id: str | None
    scopes: frozenset[str] | None = None
    """What of all that its role may do this key may do; everything when None."""
    staff: str | None = None
    """Who has signed in; none for a key."""
    bucket: Bucket | None = None
    """How often it may call; any number of times when None."""

    @property
    def is_bound(self) -> bool:
        """Whether only what concerns `node_ids` exists for this principal."""
        return self.role in BOUND

    @property
    def actor(self) -> str:
        """How movements, reservations and events name who did them."""
        return f"{self.role}:{self.key_id}" if self.staff is None else f"staff:{self.staff}"


def is_name(text: str) -> bool:
    """Tell whether a text can be the id of a node or a partner."""
    return 0 < len(text.strip()) == len(text) <= NAME_LENGTH_MAX and text.isprintable()


def digest(secret: str) -> bytes:
    """Return what is stored of a secret.

    A plain SHA-256 is enough because the secret is 192 random bits, not a password.
    """
    return hashlib.sha256(secret.encode()).digest()


async def create(
    database: Database,
    role: Role,
    node_ids: tuple[str, ...],
    partner_id: str | None,
    *,
    scopes: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> str:
    """Create a key and return its secret, which cannot be shown again.

    With `scopes` it may do only that of what its role may. Raises `ValueError` when the role and
    the nodes or the partner do not belong together or are no names, and for a scope that
    does not exist.
    """
    if role not in ROLES:
        raise ValueError(f"There is no role {role!r}; choose one of {', '.join(ROLES)}.")
    if (role == "store") != bool(node_ids):
        raise ValueError("A store key needs --node NODE, and only a store key takes one.")
    if not all(
        is_name(each) for each in (*node_ids, *([] if partner_id is None else [partner_id]))
    ):
        raise ValueError(f"A node or partner has 1 to {NAME_LENGTH_MAX} characters to be printed.")
    if (role == "partner") != (partner_id is not None):
        raise ValueError("A partner key needs --partner PARTNER, and only a partner key takes one.")
    unknown = sorted(set(scopes) - SCOPES)
    if unknown:
        raise ValueError(f"There is no scope {unknown[0]}; there are {', '.join(sorted(SCOPES))}.")
    secret = f"nom_{role}_{secrets.token_urlsafe(SECRET_BYTES)}"
    key = records.NewKey(
        key_id=secrets.token_hex(6),
        secret_hash=digest(secret),
        role=role,
        node_ids=list(node_ids),
        partner_id=partner_id,
        scopes=sorted(set(scopes)) or None,
        expires_at=expires_at,
    )
    async with database.transaction() as connection:
        await records.insert_key(connection, key)
    return secret


NO_RATES: Mapping[str, tuple[float, float]] = {}


class Seen(msgspec.Struct, frozen=True):
    """What was found for a secret, and until when that is trusted, on the monotonic clock."""

    principal: Principal | None
    until_s: float


class Keyring:
    """The keys a worker has seen lately, so that most calls need no look-up."""

    def __init__(
        self,
        database: Database,
        cache_s: float,
        rates: Mapping[str, tuple[float, float]] = NO_RATES,
    ) -> None:
        """Trust a looked-up key for `cache_s` seconds; a revoked key works no longer than that.

        `rates` limits, by role, the calls a second of one key at this worker, and those at once.
        """
        self.database = database
        self.cache_s = cache_s
        self.rates = rates
        self.buckets: dict[str, Bucket] = {}
        self.seen: dict[str, Seen] = {}
        self.looking: dict[str, asyncio.Task[Principal | None]] = {}

    async def find(self, secret: str) -> Principal | None:
        """Return whose secret this is, or nothing when it is no live key."""
        seen = self.trusted(secret)
        if seen is None:
            return await asyncio.shield(self.look_up(secret))
        return seen.principal

    def trusted(self, secret: str) -> Seen | None:
        """Return what was found for a secret lately; nothing when it has to be looked up.

        A live key is looked up again before its time is over, and once for all who wait: a busy
        caller never waits for it, and cannot fill the pool with the same question.
        """
        seen = self.seen.get(secret)
        left_s = 0.0 if seen is None else seen.until_s - monotonic()
        if seen is None or left_s <= 0:
            return None
        if left_s < self.cache_s / 2 and seen.principal is not None:
            self.look_up(secret)
        return seen

    def look_up(self, secret: str) -> asyncio.Task[Principal | None]:
        """Return the look-up of a secret that is under way, or begin one."""
        task = self.looking.get(secret)
        if task is None:
            task = self.looking[secret] = asyncio.create_task(self.read(secret))
            task.add_done_callback(partial(self.forget, secret))
        return task

    async def read(self, secret: str) -> Principal | None:
        """Read a key from the database and remember what was found."""
        asked_s = monotonic()
        find = records.find_session if secret.startswith(SESSION) else records.find_key
        async with self.database.connect() as connection:
            row = await find(connection, digest(secret))
        principal = None
        if row is not None:
            principal = Principal(
                key_id=row["key_id"],
                role=row["role"],
                node_ids=tuple(row["node_ids"]),
                partner_id=row["partner_id"],
                scopes=None if row["scopes"] is None else frozenset(row["scopes"]),
                staff=row["staff"],
                bucket=self.bucket_of(row["key_id"], row["role"]),
            )
        if len(self.seen) >= CACHE_KEYS_MAX:
            self.seen.clear()
        self.seen[secret] = Seen(principal, asked_s + self.cache_s)
        return principal

    def bucket_of(self, key_id: str, role: str) -> Bucket | None:
        """Return what limits a key's calls, the same for as long as it is in use."""
        per_s, burst = self.rates.get(role, (0.0, 0.0))
        if not per_s:
            return None
        if len(self.buckets) >= CACHE_KEYS_MAX:
            self.buckets.clear()
        return self.buckets.setdefault(key_id, Bucket(per_s, burst))

    def forget_now(self, secret: str) -> None:
        """Look this secret up again the next time it is used here."""
        self.seen.pop(secret, None)

    def forget(self, secret: str, task: asyncio.Task[Principal | None]) -> None:
        """End a look-up; one that failed has told those who waited, and the next call tries again."""
        del self.looking[secret]
        if not task.cancelled():
            task.exception()
