"""kubernetes_asyncio without its models: who we are and how to connect, nothing else.

Its packages import some eight hundred generated classes, 35 MB of memory that the daemon would
carry for ever and that nothing here uses. What is used lies in modules that need none of them, so
the two packages around these are entered without running their `__init__`.
"""

import importlib
import sys
from importlib import util
from types import ModuleType


def _enter(name: str) -> ModuleType:
    """Make a package importable from; one that was imported before stays as it is."""
    if name not in sys.modules:
        spec = util.find_spec(name)
        if spec is None:
            raise ImportError(f"{name} is not installed", name=name)
        sys.modules[name] = util.module_from_spec(spec)
    return sys.modules[name]


def _prepare() -> None:
    _enter("kubernetes_asyncio")
    client = _enter("kubernetes_asyncio.client")
    if not hasattr(client, "Configuration"):
        configuration = importlib.import_module("kubernetes_asyncio.client.configuration")
        # What `kubernetes_asyncio.config` takes from the package; the second only for signatures.
        client.__dict__.update(Configuration=configuration.Configuration, ApiClient=object)


_prepare()

from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402 - once prepared
from kubernetes_asyncio.client.rest import RESTClientObject  # noqa: E402 - same
from kubernetes_asyncio.config import (  # noqa: E402 - same
    ConfigException,
    load_incluster_config,
    load_kube_config,
    load_kube_config_from_dict,
)

__all__ = [
    "ConfigException",
    "Configuration",
    "RESTClientObject",
    "load_incluster_config",
    "load_kube_config",
    "load_kube_config_from_dict",
]
