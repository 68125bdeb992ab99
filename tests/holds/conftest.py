import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hk3s_lab.kubernetes.build import ensure_binary
from holds.field import Field
from holds.setting import field_of


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a first build takes longer than any test may."""
    needs_binary = any("one_field" in getattr(item, "fixturenames", ()) for item in session.items)
    if needs_binary and not session.config.option.collectonly:
        asyncio.run(ensure_binary(print))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_field(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    """One cluster for all tests that start the real daemon."""
    async with field_of(tmp_path_factory.mktemp("field")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def field(one_field: Field) -> AsyncIterator[Field]:
    yield one_field
    await one_field.clear()
