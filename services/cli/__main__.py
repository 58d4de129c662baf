"""`python -m services.cli`: what supervised services are started with."""

from services.cli import main

main()
