"""The linear response of a model, and networks that stand on it.

This folder imports nothing by itself: the base of all networks is in it, and what is made from the
base.
"""
