"""Model loading and pinning, batching, decoding and likelihood: the fast paths."""
