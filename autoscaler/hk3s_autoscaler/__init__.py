"""The daemon that buys servers for pending pods and gives idle ones back.

Observe, plan, execute: `daemon/loop.py` tells the story in three lines, `planning/` decides,
`adapters/` speak to Hetzner and Kubernetes through the ports of `ports.py`.
It imports no SDK: those live in `hk3s_hetzner` and `hk3s_kube`.
"""
