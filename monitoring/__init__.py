"""Self-hosted monitoring and logging for Python teams.

Services publish events over Redis streams; workers batch-write them to SQLite; a thin API serves search.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
