"""How fast kernels are, side by side: the same data, in one process, interleaved.

:mod:`problem` is what is computed, :mod:`implementations` who computes it (:mod:`textbook` and
:mod:`pytorch` among them), :mod:`floor` how little memory traffic would do, :mod:`worker` the
process in which a setting (threads, allocator) holds and everything is timed, and
:mod:`measurement` what collects the workers' figures.
"""
