"""Work that waits for its release, moved to where it costs less."""
