"""Judge what the probes of the same names found. Sans-I/O."""
