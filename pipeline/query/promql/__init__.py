"""PromQL: from the text of an expression to its answer, over series of floats that a `Source` gives."""
