"""Decisions: a state, and questions about it whose options are given."""
