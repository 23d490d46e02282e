"""The contract for programs, generated: docs/asyncapi.yaml, and the JSON Schema of the settings."""
