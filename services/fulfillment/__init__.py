"""What nodes do for orders: the work, the conversation about it, and what follows from a no."""
