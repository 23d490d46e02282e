"""Watches: questions about topics, asked anew when what came on them has changed. Sans-I/O."""
