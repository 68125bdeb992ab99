"""The lab's Kubernetes: a real control plane built from source, its certificates, its processes.

It starts what a master's files describe and nothing else.
It knows neither machines nor Hetzner, reads no clock and imports nothing of the product.
"""
