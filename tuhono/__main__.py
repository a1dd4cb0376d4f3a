"""`python -m tuhono`: the same as the command `tuhono`."""

from tuhono.cli.main import app

app()
