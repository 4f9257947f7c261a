"""The commands of the program, a file each for those that belong together; ``parabench.cli`` lists
them.
"""
