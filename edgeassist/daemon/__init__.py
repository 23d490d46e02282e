"""Policy: who may ask, in what order, until when."""
