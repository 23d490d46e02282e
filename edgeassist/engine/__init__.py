"""Mechanism: slots, tokens and the KV cache, in a process of its own."""
