"""The dialogues that the model learns from, and those that it is measured with, each made from its number.

A phrasing, a room's name or a number trains or is held out by the hash of its text: another one added later
moves none of those that are there.
"""
