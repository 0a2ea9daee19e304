"""Paths, files that are written whole, provenance, and errors for the person at the keyboard."""
