"""Tests of goods that come back and of orders that change."""
