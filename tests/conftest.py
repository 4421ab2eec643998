"""How many examples property tests take: few while one works (`make check`), all of them in `make test`."""

from hypothesis import settings

settings.register_profile("quick", max_examples=25)
