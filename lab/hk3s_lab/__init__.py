"""A Hetzner Cloud on one machine: API emulator, machines, a real Kubernetes control plane, the demo.

Imports nothing of the product: the two meet over HTTP, TLS and files, so that whatever works here
uses the product as a user does.
"""
