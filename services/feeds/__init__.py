"""Files of nodes, items, stock and supply: read, checked, staged and applied chunk by chunk."""
