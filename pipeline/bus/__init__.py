"""The way of an event over the bus: frames, lanes, streams, and the embedded server."""
