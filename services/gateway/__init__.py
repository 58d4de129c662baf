"""The gateway: the HTTP door for people, the record of all that happened, and the keeper of packs."""
