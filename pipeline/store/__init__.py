"""The store: segments, marks, leases, the catalog, and what keeps them in order."""
