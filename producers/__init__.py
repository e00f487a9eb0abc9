"""What runs inside observed services, on top of the pipeline."""
