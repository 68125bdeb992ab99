"""Hetzner Cloud for hk3s: an async face over the official SDK, in our own words.

This is the only package that imports `hcloud`. It decides nothing: it does not choose offerings,
retry beyond the SDK, or know Kubernetes. SDK objects never leave it.
"""
