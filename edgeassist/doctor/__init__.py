"""What is wrong on a box, and the command that mends it."""
