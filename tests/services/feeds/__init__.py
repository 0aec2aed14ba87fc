"""Files: what readers make of them, what is rejected, what is applied, what a crash leaves."""
