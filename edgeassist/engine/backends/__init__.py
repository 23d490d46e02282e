"""The libraries that compute, each behind one protocol."""
