"""What an event is, and how one is read out of the formats of others."""
