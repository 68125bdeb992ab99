"""Files that people write, and one report of everything that is wrong with one.

Every problem has a stable code, its place in the file, the cause and what to do about it.
"""
