"""One run of a training job as SimPy processes: stragglers, failures, contention, overlap; what closed forms leave out."""
