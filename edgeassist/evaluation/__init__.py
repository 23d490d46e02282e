"""How right decisions are, and how well their probabilities say so: cases, figures, what is fitted."""
