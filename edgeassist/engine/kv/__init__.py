"""KV cache entries that outlive their sequence: prefixes in memory, states on disk."""
