"""The publisher: buffer, seal, retain until committed, replay."""
