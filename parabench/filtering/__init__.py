"""Corpora of any size: rows are read, paraphrased, measured and written in blocks, and never held
whole.
"""
