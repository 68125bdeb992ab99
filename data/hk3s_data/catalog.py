"""The bundled catalogue of Hetzner Cloud: server types, locations, prices, images.

Facts of real API answers of 2026-09-29 (EUR account, VAT 0).
Prices and stock move: the product reads them from the API and falls back on these only offline.
"""

import functools
import json
from importlib import resources
from typing import Any

CATALOG_FILE = "catalog-2026-09-29.json"


@functools.cache
def bundled() -> dict[str, Any]:
    """Return the catalogue as JSON values.

    Keys: `server_types` and `locations` (lists shaped like those of `GET /server_types` and
    `GET /locations`), `pricing` (the object of `GET /pricing`, without load balancers) and
    `system_image_ids_x86` (name to id).
    Treat it as read-only: all callers share one object.
    """
    text = resources.files(__package__).joinpath(CATALOG_FILE).read_text(encoding="utf-8")
    catalog: dict[str, Any] = json.loads(text)
    return catalog
