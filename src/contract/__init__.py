"""What a domain and the runtime know of one another: values and pure functions, nothing else."""
