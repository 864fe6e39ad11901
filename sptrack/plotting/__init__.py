"""Figures: a result and axes go in, the axes come back; nothing is computed here."""
