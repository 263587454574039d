"""Checks JSON against JSON Schemas that nobody vouches for, with a bound on the work.

An engine of its own: it knows nothing of tools, MCP or HTTP and imports nothing else of `gateway`. The way in is
`gateway.json_schema.schema.Schema`; `gateway.json_schema.fault` says why a schema cannot be used at all.
"""
