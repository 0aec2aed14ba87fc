"""Tests of contacts, rights, staff and timelines."""
