"""Decisions: options of questions about a state are scored; nothing is generated."""
