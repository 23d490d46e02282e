"""Mechanism: slots, tokens and KV memory, in a process of its own."""
