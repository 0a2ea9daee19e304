"""Made-up studies with known effects: how often verdicts and intervals are wrong."""
