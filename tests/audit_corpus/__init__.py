"""Backward passes as other people write them, some right and some wrong, for ``audit kernel``.

Written for this project, after the patterns of public questions and bug reports about Caffe
(3878, 3912, 4110), Darknet (1634, 1723), MXNet (1053), course assignments and textbooks; no line is
copied.  They keep the style of their models, names and all.  ``expected.py`` says of each what is
wrong with it.
"""
