def pack():
    """Rows of a grid, five by five, and a small circle in the gap between four others."""
    circles = [(0.1 + 0.2 * column, 0.1 + 0.2 * row, 0.1) for row in range(5) for column in range(5)]
    return [*circles, (0.2, 0.2, 0.1 * (2**0.5 - 1))]
