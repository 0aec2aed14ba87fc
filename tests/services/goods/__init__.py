"""Tests of what happens to goods on the floor of a node."""
