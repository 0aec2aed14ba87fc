"""Jobs in the background: each run by one worker at a time, however many there are."""
