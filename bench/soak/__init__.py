"""`make soak`: the product under mixed load for hours, and whether anything grows."""
