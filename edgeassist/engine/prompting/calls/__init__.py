"""How model families write tool calls: what makes one valid, and what reads it. Sans-I/O."""
