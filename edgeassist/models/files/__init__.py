"""What a model's files say, read without loading it: one reader per format."""
