"""Values and words for the prose, formatted once; nothing is computed here."""
