"""Folders of documents in, passages out: files -> text -> chunks -> index -> search.

An engine of its own: it knows nothing of HTTP, MCP, agents or turns and imports nothing else of `gateway`. The way in
is `gateway.retrieval.knowledge_bases.KnowledgeBases`.
"""
