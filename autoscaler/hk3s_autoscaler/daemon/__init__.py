"""The long-running process: named tasks around the loop, and carrying out what was planned.

Decides nothing about servers: decisions come from `planning`.
"""
