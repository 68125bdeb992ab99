"""Kubernetes for hk3s: authentication, raw calls, reflectors, leader election, the NodePool API.

This is the only package that imports `kubernetes_asyncio`. It decides nothing about scaling and
does not know Hetzner. Its generated models are not used: lists and watches are decoded into
structs of just the fields in use.
"""
