"""Dialogues for training and evaluation, each generated from its number.

The hash of a phrasing, room name or number decides whether it trains or is held out, so adding one moves
none of the others.
"""
