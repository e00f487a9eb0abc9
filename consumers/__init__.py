"""RQ workers and their jobs: drains, and the ticker that keeps them running."""
