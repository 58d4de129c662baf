"""The shapes of what a step of a playbook may do; each module is one kind of thing that is acted on."""
