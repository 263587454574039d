"""Tool servers for tests: real MCP servers, small enough to be read at a glance."""
