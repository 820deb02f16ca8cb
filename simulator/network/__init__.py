"""Delta(P): seconds that P learners take to combine their gradients."""
