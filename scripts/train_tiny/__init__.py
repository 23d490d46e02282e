"""Makes EdgeAssist Tiny: dialogues, tokenizer, training, evaluation, export."""
