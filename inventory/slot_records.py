"""SQL of slots. A list goes in as one JSON array, since its rows hold arrays of any length."""

from collections.abc import Sequence

import asyncpg

SLOT = (
    "SELECT slot_id, service, zone_ids, node_id, opens, closes, weekdays, places, price_minor,"
    " lead_minutes, days_ahead, dates::text AS dates FROM slot"
)


async def put_slots(connection: asyncpg.Connection, given: str) -> None:
    """Insert or replace slots."""
    await connection.execute(
        """
        INSERT INTO slot (slot_id, service, zone_ids, node_id, opens, closes, weekdays, places,
                          price_minor, lead_minutes, days_ahead, dates)
        SELECT * FROM json_to_recordset($1::json) AS r (
            slot_id text, service text, zone_ids text[], node_id text, opens time, closes time,
            weekdays int[], places int8, price_minor int8, lead_minutes int, days_ahead int,
            dates jsonb
        )
        ORDER BY slot_id
        ON CONFLICT (slot_id) DO UPDATE SET
            service = excluded.service, zone_ids = excluded.zone_ids, node_id = excluded.node_id,
            opens = excluded.opens, closes = excluded.closes, weekdays = excluded.weekdays,
            places = excluded.places, price_minor = excluded.price_minor,
            lead_minutes = excluded.lead_minutes, days_ahead = excluded.days_ahead,
            dates = excluded.dates, changed_at = now()
        """,
        given,
    )


async def lock_places(connection: asyncpg.Connection, slot_ids: Sequence[str]) -> None:
    """Lock the places of these slots on dates to come, in key order."""
    await connection.execute(
        """
        SELECT FROM capacity c
        WHERE c.node_id = '' AND c.slot = ANY ($1::text[]) AND c.work_on >= current_date - 1
        ORDER BY c.node_id, c.work_on, c.slot
        FOR UPDATE
        """,
        slot_ids,
    )


async def renew_places(connection: asyncpg.Connection, slot_ids: Sequence[str]) -> None:
    """Set the places of locked dates to what their slots say now."""
    await connection.execute(
        """
        WITH changed AS (
            UPDATE capacity c SET version = c.version + 1, maximum = coalesce(
                (SELECT (d->>'places')::bigint FROM jsonb_array_elements(s.dates) AS d
                 WHERE (d->>'on')::date = c.work_on),
                s.places
            )
            FROM slot s
            WHERE s.slot_id = ANY ($1::text[]) AND c.node_id = '' AND c.slot = s.slot_id
              AND c.work_on >= current_date - 1
            RETURNING c.node_id, c.work_on, c.slot
        )
        INSERT INTO change (kind, key_1, key_2, key_3)
        SELECT 'capacity', array_agg(node_id), array_agg(work_on::text), array_agg(slot)
        FROM changed HAVING count(*) > 0
        """,
        slot_ids,
    )


async def read_slots(
    connection: asyncpg.Connection, after: str, limit: int | None
) -> list[asyncpg.Record]:
    """Read slots in order of their id, from the one after `after`."""
    return await connection.fetch(
        f"{SLOT} WHERE slot_id > $1 ORDER BY slot_id LIMIT $2", after, limit
    )
