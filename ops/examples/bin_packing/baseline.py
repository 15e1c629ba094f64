def choose(item, free):
    """Best fit: the fullest bin that has room."""
    return min(range(len(free)), key=free.__getitem__, default=-1)
