"""In which form the weights of a model travel: the rule that chooses. Pure.

Float32 is exact and the largest. Float16 keeps half the digits of the weights and computes as float32. Int8
computes in whole numbers of 8 bits: the smallest, and beyond what it saw when it was converted it saturates.
"""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway.contract.manifest import Form

FORMS: tuple[Form, ...] = ("float32", "float16", "int8")
Wanted = Literal["auto", "float32", "float16", "int8"]
# What a smaller file may cost: so little that nobody could measure it on a site. Int8 lost 0.2 to 4 % on
# what we trained, and saturates where a site does what its examples never did: float16 ships unless it is asked for.
PINBALL_LOSS_MAX = 0.001


class NoFormError(Exception):
    """No form of the model, or not the one that was asked for, can be used."""


class FormTrial(msgspec.Struct, frozen=True):
    """One form, tried in the production runtime on windows of the validation part.

    `pinball` is in scaled units, `worst_difference` the largest to what Keras says; None where there is none.
    `problem` says why the form is out of the question; empty when it is not.
    """

    form: Form
    bytes: int | None = None
    pinball: float | None = None
    worst_difference: float | None = None
    problem: str = ""


def choose_form(trials: Sequence[FormTrial], wanted: Wanted = "auto") -> tuple[FormTrial, str]:
    """The form to ship, and the reason in a sentence.

    The smallest that every runtime runs and whose pinball loss on the validation part is within
    `PINBALL_LOSS_MAX` of float32's; of two that are equally small the one nearer to float32.

    Raises:
        NoFormError: there is none.
    """
    by_form = {trial.form: trial for trial in trials}
    exact = by_form.get("float32")
    if wanted != "auto":
        return _wanted(by_form, wanted)
    if exact is None or exact.problem:
        raise NoFormError(f"not even float32 can be used: {exact.problem if exact else 'it was not made'}")
    fit = [trial for trial in trials if not trial.problem and _loss(trial, exact) <= PINBALL_LOSS_MAX]
    chosen = min(fit, key=lambda trial: (trial.bytes, FORMS.index(trial.form)))
    others = [_why_not(by_form[form], exact) for form in FORMS if form in by_form and form != chosen.form]
    return chosen, "; ".join([_praise(chosen, exact), *others])


def _wanted(by_form: dict[Form, FormTrial], wanted: Form) -> tuple[FormTrial, str]:
    trial = by_form.get(wanted)
    if trial is None or trial.problem:
        raise NoFormError(
            f"{wanted} was asked for and cannot be used: {trial.problem if trial else 'it was not made'}"
        )
    return trial, f"{wanted} was asked for ({_size(trial)})"


def _praise(chosen: FormTrial, exact: FormTrial) -> str:
    if chosen is exact:
        return f"float32 ({_size(exact)}): nothing smaller will do"
    return (
        f"{chosen.form} ({_size(chosen)}): the smallest whose pinball loss on the validation part is within "
        f"{PINBALL_LOSS_MAX:.1%} of float32's ({_loss(chosen, exact):+.2%})"
    )


def _why_not(trial: FormTrial, exact: FormTrial) -> str:
    if trial.problem:
        return f"{trial.form} cannot be used: {trial.problem}"
    if _loss(trial, exact) > PINBALL_LOSS_MAX:
        return f"{trial.form} ({_size(trial)}) loses {_loss(trial, exact):+.2%}"
    return f"{trial.form} has {_size(trial)}"


def _loss(trial: FormTrial, exact: FormTrial) -> float:
    """How much worse than float32, as a share; infinite where it cannot be told."""
    if trial is exact:
        return 0.0
    if trial.pinball is None or exact.pinball is None:
        return math.inf
    return trial.pinball / exact.pinball - 1 if exact.pinball > 0 else math.inf


def _size(trial: FormTrial) -> str:
    return f"{(trial.bytes or 0) / 1000:.1f} kB"
