"""The agent document: its schema, strict YAML loading, identity and revisions. The documents themselves live in ../agents."""
