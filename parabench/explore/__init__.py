"""Looking at prompts and models: nearest tokens, the prompt map, the demo."""
