"""The public wire contract: pure, no I/O."""
