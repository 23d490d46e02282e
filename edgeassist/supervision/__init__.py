"""The engine process, seen from the daemon: spawn, watch, replace, and how many threads it gets."""
