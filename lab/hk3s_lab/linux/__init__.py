"""Servers as booted Debians: containers with systemd and cloud-init on a Hetzner-like network.

Needs root. Everything happens in mount and network namespaces of this process; the host's own
network, mounts and kernel settings must not be touched, and nothing may outlive the process.
"""
