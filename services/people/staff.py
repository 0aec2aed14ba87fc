"""Staff: people who sign in with a password and act in their own name.

A password is kept as Argon2id with RFC 9106's second recommended parameters. A name that does not
exist is answered like a wrong password, after the same work, and counts against the same limits.
"""

import asyncio
import secrets
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, get_args

import asyncpg
import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from services.database import Database
from services.ids import new_id
from services.keys import SECRET_BYTES, SESSION, digest, is_name
from services.people import records
from services.problems import Refused
from services.records import Event, database_now, insert_events, lock_names
from services.settings import Settings

Role = Literal["store", "planner", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME_LENGTH_MAX = 100
PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 200
"""A longer one is no safer, and hashing it would cost whoever has to do it."""
HASHING_MAX = 2
"""Passwords that one worker checks at the same time; each takes 64 MB and some 0.1 s."""
WAITING_MAX = 20
"""Attempts that may wait for that."""

hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$m9n3GVCsb+gH/zKCakd4fg"
    "$Pn63sFzN91fULttpJQv63HMX+dr8x4smpHEHhnaSBqs"
)
"""What is checked where there is nobody of the name, so that it takes as long; it fits nothing."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is signed in."""

    token: str
    """Sent as `Authorization: Bearer`; cannot be shown again."""
    name: str
    role: Role
    node_ids: list[str]
    expires_at: datetime


def verify_password(password: str) -> None:
    """Raise `ValueError` unless a password is long enough, and not too long."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise ValueError(
            f"Give a password of {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters."
        )


async def add(
    database: Database, name: str, role: Role, node_ids: tuple[str, ...], password: str
) -> None:
    """Let somebody sign in; raises `ValueError` for what does not fit, or a name that is taken."""
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise ValueError(f"Give a name of 1 to {NAME_LENGTH_MAX} characters that can be printed.")
    if role not in ROLES:
        raise ValueError(f"Staff has one of the roles {', '.join(ROLES)}.")
    if (role == "store") != bool(node_ids):
        raise ValueError("Staff of a store needs --node NODE, and only that does.")
    if not all(is_name(each) for each in node_ids):
        raise ValueError("A node has 1 to 100 characters that can be printed.")
    verify_password(password)
    password_hash = await asyncio.to_thread(hasher.hash, password)
    async with database.transaction() as connection:
        if not await records.insert_staff(connection, name, role, node_ids, password_hash):
            raise ValueError(f"There is a {name} already, perhaps disabled; choose another name.")


async def change_password(database: Database, name: str, password: str) -> bool:
    """Give somebody another password and end their sessions; False when there is nobody."""
    verify_password(password)
    password_hash = await asyncio.to_thread(hasher.hash, password)
    async with database.transaction() as connection:
        await records.delete_sessions_of(connection, name)
        return await records.set_password(connection, name, password_hash)


async def disable(database: Database, name: str) -> bool:
    """Let somebody in no longer and end their sessions; False when nobody of the name was."""
    async with database.transaction() as connection:
        await records.delete_sessions_of(connection, name)
        return await records.disable_staff(connection, name)


class Reception:
    """Where staff signs in at one worker."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Take limits from the settings."""
        self.database = database
        self.settings = settings
        self.hashing = asyncio.Semaphore(HASHING_MAX)
        self.present = 0

    async def sign_in(self, name: str, password: str, address: str) -> Session:
        """Return a new session of somebody who knows the password.

        Raises `too-many-requests` after too many attempts for the name or from the address, and
        while too many wait; `sign-in-failed` for a wrong name or password, whichever it was.
        """
        if self.present >= WAITING_MAX:
            raise Refused(
                "too-many-requests", f"{self.present} people are signing in. Try again shortly."
            )
        self.present += 1
        try:
            name_hash = digest(f"name {name}")
            await self.count_attempt(name_hash, digest(f"address {address}"))
            async with self.database.connect() as connection:
                found = await records.find_staff(connection, name)
            if not await self.fits(found, password) or found is None:
                raise Refused("sign-in-failed", "There is nobody of this name with this password.")
            if hasher.check_needs_rehash(found.password_hash):
                await renew(self.database, found.name, password)
            return await self.database.run(partial(self.begin, found=found, name_hash=name_hash))
        finally:
            self.present -= 1

    async def count_attempt(self, name_hash: bytes, address_hash: bytes) -> None:
        """Count an attempt before it is made, so that many at once are no way round the limit."""
        settings = self.settings
        window = timedelta(seconds=settings.sign_in_window_s)
        limits = [("name_hash", name_hash, settings.sign_in_name_max)]
        if settings.sign_in_address_max:
            limits.append(("address_hash", address_hash, settings.sign_in_address_max))

        async def work(connection: asyncpg.Connection) -> timedelta | None:
            await lock_names(connection, [name_hash, address_hash])
            for column, value, most in limits:
                wait = await records.wait_for_attempts(connection, column, value, window, most)
                if wait is not None:
                    return wait
            await records.insert_attempt(connection, new_id(), name_hash, address_hash)
            return None

        wait = await self.database.run(work)
        if wait is not None:
            refused = Refused(
                "too-many-requests",
                "Too many attempts to sign in. Wait for the time in Retry-After; nobody has to "
                "unlock anything.",
            )
            refused.retry_after_s = max(1, int(wait.total_seconds()) + 1)
            raise refused

    async def fits(self, found: records.StaffRow | None, password: str) -> bool:
        """Tell whether a password is somebody's, after the same work for one who does not exist."""
        kept = NOBODY if found is None else found.password_hash
        async with self.hashing:
            return await asyncio.to_thread(is_password, kept, password)

    async def begin(
        self, connection: asyncpg.Connection, *, found: records.StaffRow, name_hash: bytes
    ) -> Session:
        """Begin the session of somebody whose password fits."""
        token = SESSION + secrets.token_urlsafe(SECRET_BYTES)
        expires_at = await database_now(connection) + timedelta(seconds=self.settings.session_s)
        await records.forget_attempts(connection, name_hash)
        await records.insert_session(connection, digest(token), found.name, expires_at)
        actor = f"staff:{found.name}"
        payload: dict[str, object] = {"expires_at": expires_at.isoformat()}
        await insert_events(
            connection, [Event(new_id(), "staff.signed_in", found.name, actor, payload)]
        )
        return Session(
            token=token,
            name=found.name,
            role=msgspec.convert(found.role, Role),
            node_ids=found.node_ids,
            expires_at=expires_at,
        )

    async def sign_out(self, token: str) -> bool:
        """End a session; False when it is none, as with a key."""
        async with self.database.transaction() as connection:
            return await records.delete_session(connection, digest(token))


async def renew(database: Database, name: str, password: str) -> None:
    """Hash a password anew that was hashed with parameters of long ago."""
    password_hash = await asyncio.to_thread(hasher.hash, password)
    async with database.transaction() as connection:
        await records.set_password(connection, name, password_hash)


def is_password(kept: str, password: str) -> bool:
    """Tell whether a password is the one that was hashed."""
    try:
        return hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


async def forget_attempts(window_s: int, database: Database) -> int:
    """Delete attempts to sign in that no longer count, and sessions that are over."""

    async def work(connection: asyncpg.Connection) -> int:
        return await records.delete_old_attempts(connection, timedelta(seconds=window_s))

    return await database.run(work)
