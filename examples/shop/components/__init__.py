"""The shop's programs, one module each; a module offers `build(context)` and imports only what it needs."""
