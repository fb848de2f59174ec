"""Indexing by integer arrays, and the check of their range."""
