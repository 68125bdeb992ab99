"""Frozen facts: what the planner sees of the world.

No I/O, no clock, no SDK types. Integers, not floats; tuples, not lists.
"""
