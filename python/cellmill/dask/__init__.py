"""Folds and searches as tasks of Dask's: what runs on the workers of a cluster.

The calls of :mod:`cellmill.pp` come here by themselves where a ``distributed.Client`` is active.
`_tasks` is what workers run, `_watch` how a task hears that nobody wants it any more, `_job` names,
submits and cancels the tasks of one call, `_check` looks at the workers before the first of them,
`_neighbors` says which tasks the search is made of; the folds' are in
``cellmill._foreign``.
"""
