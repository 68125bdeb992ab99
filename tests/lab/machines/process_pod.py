"""What the image of a process pod does in the tests: says what it was given, then serves."""

import json
import os
import signal
import sys
from pathlib import Path

import yaml

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
out = Path(os.environ["REPORT"])
config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
report = {
    "args": sys.argv[1:],
    "greeting": os.environ["GREETING"],
    "mounted": Path(sys.argv[1]).read_text(),
    "server": config["clusters"][0]["cluster"]["server"],
    "token": config["users"][0]["user"]["token"],
    "proxy": os.environ["HTTP_PROXY"],
    "leaked": sorted(name for name in os.environ if name.startswith("SECRET_OF_THE_TEST")),
}
sys.stdout.write("hello from the pod\n")
sys.stdout.flush()
# At once and last: whoever sees the report may read all of it, and the log.
unfinished = out.with_suffix(".part")
unfinished.write_text(json.dumps(report))
unfinished.rename(out)
if "--fail" in sys.argv:
    sys.exit(3)
signal.sigwait({signal.SIGTERM})
out.with_suffix(".stopped").write_text("stopped")
