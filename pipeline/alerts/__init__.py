"""Alerts: rules, what an evaluation of one finds, and what becomes of an alert. Decisions here are pure functions."""
