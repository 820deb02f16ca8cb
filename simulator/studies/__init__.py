"""Questions: each is a function from a model to a table or a result with named fields."""
