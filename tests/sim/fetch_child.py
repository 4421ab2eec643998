"""A check as a child process, with an acceptance that any bundle passes: for bundles without a model.

Arguments: URL of the repository, file with the root, models folder, factory bundle; then as of
`smartwatts-gateway fetch`.
"""

import argparse
import sys
from pathlib import Path

from gateway.core.update import encode_outcome
from gateway.shell.update_fetch import Check, fetch


def main() -> None:
    """Do the check and print its outcome."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    for name in ("root", "models", "factory"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--current", required=True)
    given = parser.parse_args()
    check = Check(
        url=given.url,
        root=given.root.read_bytes(),
        channels=("stable",),
        models=given.models,
        current=given.current,
        budget_s=20.0,
        factory=given.factory,
    )
    sys.stdout.buffer.write(encode_outcome(fetch(check, accept=lambda _: "")))


if __name__ == "__main__":
    main()
