import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.form import FORMS, PINBALL_LOSS_MAX, FormTrial, NoFormError, choose_form

EXACT = FormTrial("float32", 200_000, 0.1000, 1e-6)
HALF = FormTrial("float16", 110_000, 0.10001, 1e-3)
WHOLE = FormTrial("int8", 70_000, 0.10008, 0.1)


def test_the_smallest_that_is_as_good_is_chosen_and_the_reason_names_all():
    chosen, reason = choose_form([EXACT, HALF, WHOLE])
    assert chosen is WHOLE
    assert reason == (
        "int8 (70.0 kB): the smallest whose pinball loss on the validation part is within 0.1% of float32's (+0.08%)"
        "; float32 has 200.0 kB; float16 has 110.0 kB"
    )


def test_a_small_one_that_loses_too_much_is_not_chosen():
    chosen, reason = choose_form([EXACT, HALF, FormTrial("int8", 70_000, 0.1006, 0.1)])
    assert chosen is HALF
    assert "int8 (70.0 kB) loses +0.60%" in reason


def test_one_that_a_runtime_refuses_is_not_chosen():
    chosen, reason = choose_form([EXACT, HALF, FormTrial("int8", problem="tflite-runtime has no such operator")])
    assert chosen is HALF
    assert "int8 cannot be used: tflite-runtime has no such operator" in reason


def test_of_equally_small_ones_the_nearest_to_float32_is_chosen():
    trials = [FormTrial("int8", 70_000, 0.1, 0.1), FormTrial("float32", 70_000, 0.1, 0.0)]
    chosen, reason = choose_form(trials)
    assert chosen.form == "float32"
    assert reason.startswith("float32 (70.0 kB): nothing smaller will do")


def test_a_form_that_was_asked_for_is_taken_however_good():
    chosen, reason = choose_form([EXACT, FormTrial("int8", 70_000, 0.2, 0.5)], "int8")
    assert (chosen.form, reason) == ("int8", "int8 was asked for (70.0 kB)")


@pytest.mark.parametrize(
    ("trials", "wanted", "said"),
    [
        ([], "auto", "not even float32 can be used: it was not made"),
        ([FormTrial("float32", problem="broken"), HALF], "auto", "not even float32 can be used: broken"),
        ([EXACT], "int8", "int8 was asked for and cannot be used: it was not made"),
        ([EXACT, FormTrial("int8", problem="broken")], "int8", "int8 was asked for and cannot be used: broken"),
    ],
)
def test_without_a_usable_form_there_is_none(trials, wanted, said):
    with pytest.raises(NoFormError, match=said):
        choose_form(trials, wanted)


@given(
    sizes=st.lists(st.integers(1, 300_000), min_size=3, max_size=3),
    losses=st.lists(st.floats(0.0, 2.0), min_size=3, max_size=3),
    problems=st.lists(st.sampled_from(["", "broken"]), min_size=2, max_size=2),
)
def test_what_is_chosen_is_fit_and_nothing_smaller_is(sizes, losses, problems):
    parts = zip(FORMS, sizes, losses, ["", *problems], strict=True)
    trials = [FormTrial(form, size, loss, 0.0, problem) for form, size, loss, problem in parts]
    fit = [one for one in trials if not one.problem and one.pinball <= losses[0] * (1 + PINBALL_LOSS_MAX)]
    chosen, _ = choose_form(trials)
    assert not chosen.problem
    assert chosen.bytes <= min([one.bytes for one in fit if losses[0] > 0], default=sizes[0])
