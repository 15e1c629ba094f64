"""Programs that run inside the sandbox, on its own interpreter. Their files are copied into the sandbox, so they import
nothing of Redraft."""
