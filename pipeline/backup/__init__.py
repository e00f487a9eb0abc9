"""Backup: a consistent copy of a data directory made while the product runs, and its way back."""
