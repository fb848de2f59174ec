"""Rewriting: named rules in fixed passes; `passes.PASSES` is their order."""
