"""What nodes do for orders, as their people call it."""
