"""What of the engine's settings is fastest on this device: tried out, kept, and taken up by the daemon."""
