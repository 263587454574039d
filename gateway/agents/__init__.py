"""The agent document: its schema, strict YAML, identity and hot reload. The documents themselves live in ../agents."""
