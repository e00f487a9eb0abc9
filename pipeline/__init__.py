"""What every side shares: events, bus, publishing, store and query. Imports nothing else of ours."""
