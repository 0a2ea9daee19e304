"""From the tables of complete repeats to estimates, intervals and all that pages show."""
