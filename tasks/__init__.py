"""What a job is and how it is solved. Knows no process: `workers` says where things run."""
