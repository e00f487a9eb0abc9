"""What the SDK costs the service that it runs in, each figure beside those of its peers in the same run."""
