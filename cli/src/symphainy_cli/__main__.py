"""`python -m symphainy_cli`."""

from symphainy_cli.main import main

main()
