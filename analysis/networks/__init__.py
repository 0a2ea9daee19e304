"""Build and train networks, and keep their weights."""
