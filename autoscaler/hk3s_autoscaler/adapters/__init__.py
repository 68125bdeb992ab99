"""The two ports of `ports.py`, carried out on `hk3s_hetzner` and `hk3s_kube`.

The only place that knows both our facts and the shapes of the two APIs.
"""
