"""Virtual machines: they read the files of docs/contract.md and act them out.

A machine learns only what its user-data and its hypervisor tell it. Nothing here may import the
product or take a shortcut past HTTP, TLS and files.
"""
