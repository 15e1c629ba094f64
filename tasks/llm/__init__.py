"""Chat models behind endpoints, scripted twins, and the guard against endless repetition."""
