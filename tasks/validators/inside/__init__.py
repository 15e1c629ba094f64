"""Programs that run inside the sandbox, on its own interpreter. Nothing outside imports them: they are
read as text and handed in, so they must stand alone and know nothing of Redraft."""
