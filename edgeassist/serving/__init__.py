"""A request's life, whatever brought it: submit, wait, run, stream, end."""
