"""This machine: its processors, memory, limits and sensors."""
