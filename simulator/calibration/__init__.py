"""Parameters from measurements: tables of runs and steps in, fitted laws with their errors out."""
