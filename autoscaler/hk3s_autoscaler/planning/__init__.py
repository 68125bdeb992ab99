"""What to buy, keep and give back: `plan()` and its parts.

Pure and total: no await, clock, log, metric or chance. Reasons travel in the result.
"""
