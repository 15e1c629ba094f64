import math


def tour(cities):
    """The nearest city that was not visited, again and again."""
    order, rest = [0], set(range(1, len(cities)))
    while rest:
        last = cities[order[-1]]
        order.append(min(rest, key=lambda city: math.dist(last, cities[city])))
        rest.remove(order[-1])
    return order
