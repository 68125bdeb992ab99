"""What may be said on the command line, in one wording for all commands."""

from pathlib import Path
from typing import Annotated

import typer

from hk3s_bootstrap.printing import Output

File = Annotated[
    Path, typer.Option("--file", "-f", help="The cluster's description.", dir_okay=False)
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="`text` for people, `json` for programs.")
]
StateDir = Annotated[
    Path | None,
    typer.Option(help="Where CAs and tokens are kept [~/.local/state/hk3s/CLUSTER]."),
]
KubeconfigPath = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Where to write it [./kubeconfig-CLUSTER].")
]
TrySoldOut = Annotated[
    bool, typer.Option("--try-sold-out", help="Order types that are reported sold out.")
]
ReplaceMaster = Annotated[
    bool, typer.Option("--replace-master", help="Make an empty master in place of a lost one.")
]
ReplacePools = Annotated[
    bool, typer.Option("--replace-pools", help="Bring existing NodePools to what the file says.")
]
Why = Annotated[
    str | None,
    typer.Option(metavar="SERVER", help="Ask this server what keeps it from being a Node."),
]
Forget = Annotated[bool, typer.Option("--forget", help="Remove the local CAs and tokens as well.")]
ViaSsh = Annotated[
    bool,
    typer.Option("--via-ssh", help="Fetch k3s's own from the master: when the state is lost."),
]
TunnelPort = Annotated[
    int | None,
    typer.Option("--tunnel", metavar="PORT", help="Write it for `tunnel --port PORT`."),
]
