"""Photos of any shape and kind, as pixels of one form."""
