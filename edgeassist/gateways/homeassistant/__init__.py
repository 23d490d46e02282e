"""Home Assistant: how it finds the device and learns of its answers."""
