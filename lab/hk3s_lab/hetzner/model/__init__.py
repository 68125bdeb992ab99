"""The state of the emulated cloud and the rules it obeys.

Records are frozen and replaced whole; rules are functions of records.
No HTTP, no clock, no event loop: the moment and every random draw are arguments.
"""
