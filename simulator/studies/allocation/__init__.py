"""A data centre of jobs: how many learners to each, all at once (static) or as they come and go (online)."""
