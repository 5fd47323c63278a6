"""The one pass: best documents and exact ranks, block by block."""
