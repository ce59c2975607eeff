"""Recommenders from implicit feedback: who took what, and nothing else, in; the best items for a user out.

A pair of a user and an item counts once, however often it happened. Users and items are known by places: numbers from
0 on in the order of their ids (see `ids`); histories are sparse matrices of users by items (see `histories`).
"""
