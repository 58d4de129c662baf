"""The wire types: one module per owner, one frozen class per subject."""
