"""What OpenTelemetry sends (OTLP), put into Homeostat's words: pure, and safe on any bytes."""
