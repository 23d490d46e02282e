"""Takes the snapshots that `diagnosis` judges: looks at a box, changes nothing, and never waits long."""
