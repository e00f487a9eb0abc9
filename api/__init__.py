"""The HTTP API: a thin Flask application over the pipeline."""
