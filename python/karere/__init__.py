"""MQTT for Python on a Rust core."""
