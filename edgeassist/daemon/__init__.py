"""The daemon: composes the rooms, and sees them through start, run and stop."""
