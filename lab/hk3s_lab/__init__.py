"""A Hetzner Cloud on one machine: API emulator, machines, real Kubernetes, the demo.

Imports nothing of the product: the two meet over HTTP, TLS and files, so that whatever works here
uses the product as a user does.
"""
