import pytest

pytestmark = pytest.mark.tf


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    from cloud_trainer.train import TrainConfig, train

    said: list[str] = []
    runs = [
        train(TrainConfig(homes=8, days=21, seed=seed, epochs=1), tmp_path / f"{number}.weights.h5", said.append)
        for number, seed in enumerate((3, 3, 4))
    ]
    one, same, other = (run.metrics for run in runs)
    assert one == same
    assert one["pinball"] != other["pinball"]
    weights = [run.model.get_weights() for run in runs]
    assert all((a == b).all() for a, b in zip(weights[0], weights[1], strict=True))
    assert any("seed 3" in line for line in said)
    assert any("windows:" in line for line in said)


def test_a_short_run_learns(tmp_path):
    from cloud_trainer.train import TrainConfig, train

    long, short = (
        train(
            TrainConfig(homes=10, days=35, seed=1, epochs=epochs), tmp_path / f"{epochs}.weights.h5", lambda _: None
        )
        for epochs in (6, 1)
    )
    assert long.metrics["pinball"] < short.metrics["pinball"]
    assert long.metrics["skill_daily"] > 0
    assert long.first_us < long.last_us
    assert len(long.examples) > 0
