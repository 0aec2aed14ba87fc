"""What is learned, how it is kept, and what decisions make of it."""
