"""What it takes to train both forecasters of one site-year: seconds and memory, in a process of its own.

The site is a steel works when the environment names a folder DATA with recordings, else a generated home. The
baseline of the seconds is that of a ridge alone on the same windows; the recurrent network does not compete.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from firmware_bridge.clock import SystemClock
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW

_YEAR_DAYS = 365


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    ended = subprocess.run([sys.executable, "-m", "tests.bench.train"], stdout=subprocess.PIPE, check=True)
    told = json.loads(ended.stdout.splitlines()[-1])
    yield "train.forecasts_s", told["forecasts_s"], "s", told["ridge_s"]
    yield "train.peak_mb", told["peak_mb"], "MB", None


def main() -> int:
    from cloud_trainer.artefact import settle
    from cloud_trainer.backtest import replay
    from cloud_trainer.sources.generated import home
    from cloud_trainer.train import fit_ridge, split, train, usual_config
    from tests.bench.accuracy import steel

    clock = SystemClock()
    folder = os.environ.get("DATA")
    site = steel(Path(folder)).series if folder else home(1, _YEAR_DAYS, step_us=ENERGY.step_us, solar=False)
    ridge_s = forecasts_s = 0.0
    for spec in (ENERGY, LOAD_SLOW):
        config = replace(usual_config(spec, "consumption_w"), seeds=(1,))
        began_s = clock.monotonic_s()
        fit_ridge(split(config, [site]))
        ridge_s += clock.monotonic_s() - began_s
        began_s = clock.monotonic_s()
        trained = train(config, [site], lambda line: print(line, file=sys.stderr))
        replay(settle(trained).model, trained.test, [site])
        forecasts_s += clock.monotonic_s() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    print(json.dumps({"forecasts_s": round(forecasts_s, 1), "ridge_s": round(ridge_s, 1), "peak_mb": round(peak_mb)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
