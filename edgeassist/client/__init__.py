"""A requester in Python."""
