import argparse
import importlib.util

import pytest

from cloud_trainer.commands import source, training
from firmware_bridge.errors import SettingError

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    source.add(parser, generated=True)
    training.add(parser)
    return parser.parse_args(arguments)


def test_what_is_told_to_everybody_names_no_data_and_no_place():
    given = parsed(
        "--data", "/srv/acme", "--map", "/srv/map", "--organisation", "acme", "--report", "/srv/report", "--lstm",
        "--model", "energy_forecast", "--seed", "7", "--runtime", "/srv/python",
    )  # fmt: skip
    told = training.command_line("train", given)
    assert told == (
        "smartwatts-trainer train --seed 7 --seeds 3 --max-epochs 100 --form auto --model energy_forecast --lstm "
        "--data ..."
    )
    assert "--dsn ..." in training.command_line("once", parsed("--dsn", "host=db password=secret"))


def test_generated_sites_can_be_made_again_from_what_is_told():
    told = training.command_line("train", parsed("--generated", "--homes", "8", "--days", "60", "--search", "4"))
    assert "--generated --homes 8 --days 60" in told
    assert "--search 4 --search-minutes 30" in told


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed here")
def test_bounds_are_looked_at_before_what_is_installed():
    with pytest.raises(SettingError, match="--seeds = 99"):
        training.job_of(parsed("--generated", "--seeds", "99"))
    with pytest.raises(SettingError, match="make setup-trainer"):
        training.job_of(parsed("--generated"))


@pytest.mark.tf
def test_a_job_has_a_row_of_seeds_and_both_kinds_unless_one_is_named():
    job = training.job_of(parsed("--generated", "--seed", "5", "--seeds", "2", "--search-minutes", "2"))
    assert (job.seeds, job.draws, job.draws_s_max) == ((5, 6), 0, 120.0)
    assert job.kinds == ("energy_forecast", "load_prediction")
    assert len(job.pythons) >= 1
    assert training.job_of(parsed("--generated", "--model", "load_prediction")).kinds == ("load_prediction",)


def test_progress_is_told_beside_the_result(capsys):
    training.say("half of it")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "half of it\n")
