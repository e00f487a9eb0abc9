"""Measurements: what an event costs at each step. Figures are printed, never asserted."""
