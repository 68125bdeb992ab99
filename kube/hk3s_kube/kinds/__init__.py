"""Kubernetes objects as structs: just the fields in use, read-only, invisible to the collector.

Names are Kubernetes's in snake case. Quantities stay texts. Times are aware.
`gc=False` is safe, since no object refers to one that refers back, and spares the loop pauses of
seconds with ten thousand pods. Users import them from `hk3s_kube.objects`.
"""
