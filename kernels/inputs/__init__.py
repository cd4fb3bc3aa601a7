"""What the families' cases are made of.

Sizes, models, random inputs, and the cases of all of them.
"""
