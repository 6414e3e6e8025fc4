"""Intake over a real database."""

from typing import Any

import pytest

from doorstep.intake.app import new_app
from doorstep.kit.testing import KIT_TABLES


@pytest.fixture(scope="module")
async def desk(new_desk: Any) -> Any:
    """Intake, one for all tests of a module; they tell their rows by random ids."""
    return await new_desk("intake", new_app, None, KIT_TABLES, "doorstep.intake:migrations")
