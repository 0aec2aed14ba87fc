"""Files of nodes, items, stock, supply and open orders: read, checked, staged and applied chunk by chunk."""
