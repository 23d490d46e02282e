"""What `edgeassist bench` runs."""
