"""Cached results: what they hold, where they lie, and whether they are valid."""
