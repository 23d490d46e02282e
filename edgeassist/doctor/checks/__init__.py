"""Judge those snapshots, one module per area. No I/O."""
