"""`python -m tests.render.oracle`."""

from tests.render import oracle

oracle.main()
