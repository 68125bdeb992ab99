"""The exact pass: a solver in a process of its own, which improves a packing for some seconds.

Needs the extra `exact`. It is no part of the planner, which knows its questions and answers only.
"""
