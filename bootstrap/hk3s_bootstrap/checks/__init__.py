"""What can be known to be wrong before anything is spent.

One rule a function, each with its code; every problem of a file is reported in one go.
`online` reads from Hetzner, the others read nothing but their arguments.
"""
