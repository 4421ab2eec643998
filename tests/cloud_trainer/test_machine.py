import platform

import numpy as np

from cloud_trainer.machine import peak_bytes, software


def test_versions_of_what_is_there_are_told():
    found = software()
    assert found["Python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_peak_memory_is_that_of_a_python_with_numpy_and_never_falls():
    before = peak_bytes()
    held = np.ones(20_000_000)
    assert peak_bytes() >= max(before, held.nbytes)
    assert 10e6 < before < 1e12
