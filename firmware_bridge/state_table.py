"""How a table of states is drawn. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

StateT = TypeVar("StateT", bound=StrEnum)
EventT = TypeVar("EventT", bound=StrEnum)
ActionT = TypeVar("ActionT", bound=StrEnum)


def draw_table(table: Mapping[tuple[StateT, EventT], tuple[StateT, ActionT]], first: StateT, nothing: ActionT) -> str:
    """The table as a Mermaid state diagram that begins in `first`; loops that do `nothing` are left out."""
    lines = ["stateDiagram-v2", f"    [*] --> {first.name}"]
    for (state, event), (following, action) in table.items():
        if (following, action) != (state, nothing):
            words = event if action is nothing else f"{event} / {action}"
            lines.append(f"    {state.name} --> {following.name}: {words}")
    return "\n".join(lines) + "\n"
