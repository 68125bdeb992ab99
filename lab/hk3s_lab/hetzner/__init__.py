"""A Hetzner Cloud on one machine: the API over HTTP, strict, timed and stateful.

`model` holds the state and pure rules, `resources` the thin HTTP skin with one file a resource,
`emulator` the face for the rest of the lab.
Nothing here boots machines: it tells subscribers what their hypervisor would know (`events`).
"""
