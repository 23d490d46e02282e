"""The names that this device had: which, and what of them still stands at the broker."""
