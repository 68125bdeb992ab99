#!/usr/bin/env python3
"""fetch URL [FILE]: save what the URL holds; without FILE only see that its host answers."""

import http.client
import pathlib
import shutil
import sys
import urllib.error
import urllib.request


def main(url: str, file: str | None = None) -> int:
    """Return the exit code. Python is on every machine that has cloud-init; curl may not be."""
    method = "HEAD" if file is None else "GET"
    request = urllib.request.Request(url, method=method)  # noqa: S310 - the URL is the cluster's own
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
            if file is not None:
                with pathlib.Path(file).open("wb") as target:
                    shutil.copyfileobj(answer, target)
    except urllib.error.HTTPError as error:
        if file is None:
            return 0
        sys.stderr.write(f"{url}: {error.code} {error.reason}\n")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{url}: {error}\n")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
