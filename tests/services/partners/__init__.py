"""Tests of what partners are sent and what they answer."""
