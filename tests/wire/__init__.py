"""Golden fixtures of the wire contract: see README.md here."""
