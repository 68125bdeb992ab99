"""What a server is told at birth: parameters in, user-data out.

Pure functions: no I/O beyond the package's own files, no clock, no chance of its own.
It decides nothing about clusters and calls no one.
"""
