"""The system of record for stock: ledger, reservations, availability, supply, capacity.

Every function takes a driver connection inside a transaction that its caller owns (READ COMMITTED)
and values; SQL stands in `records.py` alone. `README.md` has the invariants and the locking story.
"""
