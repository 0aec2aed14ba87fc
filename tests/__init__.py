"""Tests, in tiers by what they need: see README.md here."""
