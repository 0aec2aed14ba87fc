"""Tests of the system of record for stock, on a real PostgreSQL."""
