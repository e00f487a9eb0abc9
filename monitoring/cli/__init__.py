"""The command line: the only place that sees all of the product."""
