"""People: whom an order is for, who works here, and what each of them may see."""
