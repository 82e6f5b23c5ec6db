"""Writing: drafts, attaching files, pressing Send."""
