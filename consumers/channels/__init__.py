"""What messages go out through: one module a kind of channel, each with a function `send`."""
