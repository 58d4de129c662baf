"""What the gateway does at an event or a request."""
