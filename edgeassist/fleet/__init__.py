"""Many boxes behind one topic: which of them has a request. Plain values, no I/O."""
