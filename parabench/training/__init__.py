"""The trainers that make the checkpoints."""
