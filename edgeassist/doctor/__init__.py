"""Finds out what is wrong on a machine, and the commands that repair it."""
