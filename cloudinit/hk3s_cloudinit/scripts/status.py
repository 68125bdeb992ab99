#!/usr/bin/env python3
"""Answer GET /status on the private address, until this machine has been Ready for ten minutes."""

import http.server
import ipaddress
import json
import os
import pathlib
import threading

RUN = pathlib.Path(os.environ.get("HK3S_RUN", "/run/hk3s"))
SOURCES = [ipaddress.ip_network(source) for source in os.environ["HK3S_STATUS_SOURCES"].split()]
AFTER_READY = float(os.environ.get("HK3S_STATUS_SECONDS", "600"))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers allowed callers with status.json, which is made without secrets."""

    timeout = 5

    def do_GET(self) -> None:
        """Serve /status and nothing else."""
        caller = ipaddress.ip_address(self.client_address[0])
        if not any(caller in source for source in SOURCES):
            self.send_error(403)
        elif self.path != "/status":
            self.send_error(404)
        else:
            body = (RUN / "status.json").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def is_ready() -> bool:
    """Tell whether the last step is done."""
    status = json.loads((RUN / "status.json").read_text())
    return bool(status["step"] == "ready" and status["state"] == "done")


def main() -> None:
    """Serve in the background and watch for the end."""
    address = (RUN / "address").read_text().strip()
    port = int(os.environ["HK3S_STATUS_PORT"])
    server = http.server.ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop = threading.Event()
    left = AFTER_READY
    while left > 0:
        pause = min(left, 5.0)
        stop.wait(pause)
        left = left - pause if is_ready() else AFTER_READY
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
