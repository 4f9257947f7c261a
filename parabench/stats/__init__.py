"""Statistics of scores: leave-one-out references, arrays, clusters, intervals, significance,
validity.
"""
