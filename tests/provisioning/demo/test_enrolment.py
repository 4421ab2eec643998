"""An enrolment that works is tested with its cloud, in the scenarios."""

from pathlib import Path

import pytest

from provisioning.demo.enrolment import Enrolment
from provisioning.demo.processes import ProgramError

pytestmark = pytest.mark.slow


async def test_a_cloud_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ProgramError, match=r"cloud_trainer claim ended with code 2: .*dsn"):
        await Enrolment(tmp_path).claim()


async def test_a_gateway_that_cannot_be_enrolled_is_told(tmp_path: Path):
    (tmp_path / "claim-code").write_text("")
    with pytest.raises(ProgramError, match=r"gateway enroll ended with code 2: .*gateway\.toml"):
        await Enrolment(tmp_path).enrol(tmp_path / "gateway.toml")
