"""The one-shot command: from a cluster.yaml to a running private cluster, and back to nothing.

Desired, observed, steps, apply: what is wanted is computed from the file, what exists is found by
label, the difference is a list of steps, and each step can be repeated.
It never logs in to a server and speaks to Hetzner and Kubernetes only through `hk3s_hetzner` and
`hk3s_kube`.
"""
