import struct

import pytest
from msgspec.structs import replace

from cloud_trainer.training_pictures import candidates_picture, errors_picture, week_picture
from gateway.contract.forecast_spec import ENERGY, LOAD
from tests.sim.training import model_report

pytestmark = pytest.mark.slow


def size(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def test_pictures_are_drawn_and_fine_steps_get_a_day_of_their_own():
    energy, load = model_report(ENERGY), model_report(LOAD)
    assert size(week_picture(energy, energy.samples[0])) == (1440, 528)
    assert size(week_picture(load, load.samples[0])) == (1440, 1056)
    assert size(errors_picture(load, load.samples[0]))[0] == 1440
    assert size(candidates_picture(energy))[0] == 1080


def test_names_in_any_letters_and_nothing_to_draw_are_no_trouble():
    model = model_report(ENERGY)
    site = replace(model.samples[0], site="$x_1$ 面包店 " + "long " * 20, observed_calibrated=None)
    nothing = replace(
        site, week=replace(site.week, start_us=[], actual_w=[], baseline_w=[], quantiles_w=[[], [], []])
    )
    assert size(week_picture(model, site)) == size(week_picture(model, nothing))
    assert size(errors_picture(model, site))[0] == 1440
    assert size(candidates_picture(replace(model, candidates=[])))[0] == 1080
