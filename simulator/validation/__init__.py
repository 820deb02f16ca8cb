"""Predictions against published measurements: the data, the cases, and the table of errors that `validate` prints."""
