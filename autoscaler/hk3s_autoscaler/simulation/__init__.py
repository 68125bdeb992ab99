"""The planner in virtual time: a trace in, what it would have cost and how long pods waited out.

Pure but for the chance that is passed in: no I/O and no clock. `offline/trace_file.py` reads files.
"""
