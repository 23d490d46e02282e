"""`python -m edgeassist` is the command `edgeassist`."""

from edgeassist.cli.main import main

main()
