"""The daemon's writes as `Ears.lay` takes them: method, path, a part of the body."""

from holds.field import SECRETS

TOKEN = ("POST", f"^{SECRETS}$")
BUY = ("POST", "^/v1/servers$")
ATTACH = ("POST", "/actions/attach_to_network$")
POWER_ON = ("POST", "/actions/poweron$")
CORDON = ("PATCH", "^/api/v1/nodes/[^/]+$", '"unschedulable"')
EVICT = ("POST", "/eviction$")
DELETE_SERVER = ("DELETE", "^/v1/servers/[0-9]+$")
DELETE_NODE = ("DELETE", "^/api/v1/nodes/[^/]+$")
