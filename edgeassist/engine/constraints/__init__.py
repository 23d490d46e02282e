"""What an answer may be: schemas, patterns, lists and grammars over a model's vocabulary, with llguidance.

Nothing else imports llguidance.
"""
