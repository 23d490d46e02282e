"""What `edgeassist top` shows: devices at a glance, on a terminal that is kept up to date."""
