"""Real SGD on this machine: problems, runs to convergence, timed updates, and the record of what was measured.

problems.py says what a problem is; numpy_problems.py, least_squares.py and lenet.py are those that ship, images.py and
data_sets.py their data. runs.py runs one of them to its targets, timing.py times its updates (ranks.py on several learners),
record.py keeps what was measured, measurement.py plans and measures, findings.py says what follows. scikit-learn, threadpoolctl
and torch are imported here only, and only when needed.
"""
