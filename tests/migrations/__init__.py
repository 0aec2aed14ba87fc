"""Tests of the schema and the steps that lead to it."""
