"""Questions to the record: its columns, the language that reviewers ask in, and the engine that answers."""
