"""Doors to other tools: MTEB's tasks, models and results, anybody's TREC runs, model cards of the Hugging Face hub."""
