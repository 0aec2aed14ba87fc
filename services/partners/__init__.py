"""Companies we exchange messages with: what they are sent, and what they answer."""
