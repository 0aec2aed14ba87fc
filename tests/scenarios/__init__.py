"""Situations of a shop in words, played over HTTP on a real database whose clock is the story's."""
