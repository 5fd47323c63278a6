"""Models under test: protocols, and adapters over the field's libraries."""
