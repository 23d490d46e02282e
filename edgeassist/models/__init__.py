"""Model files: what they hold, and trial models made on the spot."""
