import msgspec
import numpy as np

from cloud_trainer.training_report import encode_report
from tests.sim.training import training_report


def test_the_machine_readable_report_holds_everything_and_null_where_there_is_nothing():
    report = training_report()
    found = msgspec.json.decode(encode_report(report))
    assert found == msgspec.to_builtins(report) | {"models": found["models"]}
    model = found["models"][0]
    assert model["chosen"] == report.models[0].chosen
    week = model["samples"][0]["week"]
    assert np.isnan(report.models[0].samples[0].week.actual_w).any()
    assert None in week["actual_w"]
