"""Ten times more than the drains take, for minutes."""
