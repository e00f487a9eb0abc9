"""A platform that is not there: `monitoring demo` plays it through the SDK, as its services would speak."""
