"""How EdgeAssist Tiny is made: dialogues, tokenizer, training, evaluation, export."""
