"""Where the API server is and who we are: kubeconfig files, texts, or the pod we run in."""

import os
from pathlib import Path

import yaml

from hk3s_kube import lean


class ConfigurationInvalid(Exception):
    """No kubeconfig, or one that cannot be used; the text holds none of its secrets."""


async def from_kubeconfig(source: Path | str, context: str | None) -> lean.Configuration:
    """Read a kubeconfig: a Path is its file, a str its text.

    Tokens of `exec` plugins are fetched once. Raises `ConfigurationInvalid`.
    """
    configuration = lean.Configuration()
    try:
        if isinstance(source, Path):
            await lean.load_kube_config(
                config_file=str(source),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        else:
            content = yaml.safe_load(source)
            if not isinstance(content, dict):
                raise ConfigurationInvalid("the kubeconfig is empty")
            await lean.load_kube_config_from_dict(
                content, context=context, client_configuration=configuration
            )
    except UNREADABLE as error:
        # From None and by type only: these errors quote what they could not read.
        raise ConfigurationInvalid(
            f"the kubeconfig cannot be used ({type(error).__name__})"
        ) from None
    return configuration


async def from_environment() -> lean.Configuration:
    """Read what `KUBECONFIG` names, else the service account of the pod around us."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig:
        return await from_kubeconfig(Path(kubeconfig), None)
    configuration = lean.Configuration()
    try:
        lean.load_incluster_config(  # type: ignore[no-untyped-call] # theirs
            client_configuration=configuration
        )
    except lean.ConfigException as error:
        raise ConfigurationInvalid(f"neither KUBECONFIG nor a pod: {error}") from error
    return configuration


UNREADABLE = (
    lean.ConfigException,
    yaml.YAMLError,
    ValueError,
    OSError,
    TypeError,  # what the library raises on a file of an unexpected shape, as the next two
    KeyError,
    AttributeError,
)
