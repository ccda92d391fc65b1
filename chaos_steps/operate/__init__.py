"""Safety, set-up and results."""
