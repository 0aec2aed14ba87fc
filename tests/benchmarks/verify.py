"""Whether what was acknowledged is there: the benchmark reports nothing otherwise."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import asyncpg

from tests.benchmarks.cells import MeasuredError, Sent
from tests.benchmarks.systems import SERVE

FOUND = """
    SELECT left(a.order_id, 8) AS run, count(DISTINCT a.allocation_id) AS orders,
           sum(r.quantity)::bigint AS units
    FROM allocation a JOIN reservation r ON r.holder_id = a.allocation_id
    GROUP BY 1
"""
TOTALS = """
    SELECT (SELECT coalesce(sum(reserved), 0) FROM stock)::bigint AS reserved,
           (SELECT coalesce(sum(quantity), 0) FROM reservation
            WHERE state IN ('held', 'confirmed') AND supply_id IS NULL)::bigint AS promised
"""


def verify(url: str, sent: Sequence[Sent]) -> None:
    """Raise `MeasuredError` unless every order acknowledged is stored once, with all its units.

    Units held must be the sum of the reservations, and `nom audit` must find nothing.
    """
    wrong = asyncio.run(differences(url, sent))
    audited = subprocess.run(
        [sys.executable, "-c", SERVE, "audit"],
        env={**os.environ, "DATABASE_URL": url},
        check=False,
        capture_output=True,
        text=True,
    )
    if audited.returncode != 0:
        wrong.append(f"nom audit: {audited.stdout.strip()} {audited.stderr.strip()}")
    if wrong:
        raise MeasuredError("\n".join(["What was acknowledged is not what is stored.", *wrong]))


async def differences(url: str, sent: Sequence[Sent]) -> list[str]:
    """Return in words what is stored otherwise than it was acknowledged."""
    connection = await asyncpg.connect(url)
    try:
        found = {row["run"]: (row["orders"], row["units"]) for row in await connection.fetch(FOUND)}
        totals = await connection.fetchrow(TOTALS)
    finally:
        await connection.close()
    wrong = list(missing(sent, found))
    if totals is None or totals["reserved"] != totals["promised"]:
        wrong.append(f"held units and reservations differ: {totals}")
    return wrong


def missing(sent: Sequence[Sent], found: dict[str, tuple[int, int]]) -> Iterator[str]:
    """Yield each run whose orders or units are stored in another number than acknowledged."""
    for each in sent:
        stored = found.get(each.run, (0, 0))
        if stored != (each.orders, each.units):
            yield (
                f"run {each.run}: {each.orders} orders of {each.units} units acknowledged, "
                f"{stored[0]} of {stored[1]} stored"
            )
