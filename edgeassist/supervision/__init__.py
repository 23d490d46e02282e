"""The engine process, seen from the daemon: start, watch and replace it, and set its number of threads."""
