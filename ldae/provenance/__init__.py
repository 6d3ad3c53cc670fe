"""Which code, inputs and settings a result came from."""
